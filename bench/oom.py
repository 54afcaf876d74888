"""Lack of memory that a process could not tell itself, as it was ended, or aborted.

The kernel's OOM killer ends processes with SIGKILL, as anyone may; but it counts them. Native code often aborts where
it gets no memory, and writes why to the log.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.failures import WORDS, telling_line
from bench.machine import memory
from bench.ranks import Outcome
from bench.units import scaled

CRASHES = ("SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL", "SIGTRAP")
LOG_BYTES = 2**16  # of the end of a log that are looked at


@dataclass(frozen=True, kw_only=True)
class Before:
    """What there was before a cell."""

    kills: int | None  # processes that the OOM killer had ended; None if unknown
    logged: int  # bytes of the cell's log

    @classmethod
    def of(cls, log: Path) -> "Before":
        return cls(kills=oom_kills(), logged=log.stat().st_size if log.exists() else 0)


def ended(name: str, limit: int | None, held: int) -> Outcome:
    """The outcome of a process that a signal ended: `oom` where native code crashed close to a limit on its memory.

    Much of it uses the memory that it asked for without looking whether it got any.
    """
    if name in CRASHES and limit and memory.is_near(held, limit):
        told = f"the cell was ended by {name}, as it held {scaled(held, 'B')} and may have {scaled(limit, 'B')}"
        return Outcome.failed("oom", told)
    return Outcome.failed("killed", f"the cell was ended by {name}")


def explained(outcome: Outcome, before: Before, log: Path) -> Outcome:
    """The outcome of a cell: `oom` where memory ran out and the process could not say so.

    The OOM killer's victim is the cell, or a process that the cell or its template ran, such as a compiler.
    """
    status, reason = outcome.fields["status"], outcome.fields.get("reason") or ""
    if status not in ("killed", "crashed"):
        return outcome
    if "SIGKILL" in reason:
        kills = oom_kills()
        if before.kills is None or kills is None or kills <= before.kills:
            return outcome
        told = f"{reason}, which the kernel's OOM killer sent"
    elif outcome.told_at or not (line := telling_line(end_of(log, before.logged))):
        return outcome
    else:
        told = f"{reason}, after it had said: {line[:WORDS]}"
    return replace(outcome, fields=outcome.fields | {"status": "oom", "reason": told})


def end_of(log: Path, start: int) -> str:
    """What was written to a log from a place on, of much only the end."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - LOG_BYTES))
        return file.read(LOG_BYTES).decode(errors="replace")


def oom_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """How many processes the kernel's OOM killer has ended so far; None where the system does not tell.

    In the cgroup (v2) that this process and its cells are in, where that counts them, else on the whole machine.
    """
    own = ""
    with suppress(OSError):
        lines = (proc / "self/cgroup").read_text().splitlines()
        own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")
    for file in (cgroups / own / "memory.events", cgroups / "memory.events", proc / "vmstat"):
        with suppress(OSError, ValueError):
            counts = dict(line.split()[:2] for line in file.read_text().splitlines())
            return int(counts["oom_kill"]) if "oom_kill" in counts else None
    return None
