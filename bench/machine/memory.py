"""Host memory of a cell: what its processes hold in memory and no file does.

That is anonymous and shared memory. Pages of files (libraries, above all) come and go with what else the machine does,
and are not a cell's need. The kernel keeps a peak of all that is resident, files' pages too; these grow while code is
used for the first time and hardly after that. So the peak is taken phase by phase, less the files' pages at the end of
each: too low by no more than the code that was first used between a phase's peak and its end, and by nothing in the
steady state. Memory that a cell shares with the template which forked it is there at the start: it is in the baseline.
"""

import ctypes
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.machine import processor

PROCESS = Path("/proc/self")
NO_PROC = "the system does not tell a process its own peak (no /proc)"
NO_RESET = "the system lets no process set its own peak back (/proc/self/clear_refs)"
RESET_PEAK = "5"  # what to write into clear_refs: see proc_pid_clear_refs(5)


@dataclass(kw_only=True)
class HostMemory:
    """Peaks of this process since it began to count, in bytes; None where the system does not tell."""

    process: Path = PROCESS
    baseline: int | None = None  # held when counting began
    peak: int | None = None  # of all phases so far; where peaks cannot be set back, of the import too
    resets: bool = True  # whether peaks can be set back
    beside: bool = False  # whether other processes of the cell hold some of the same pages: then a page counts in parts

    def begin(self) -> None:
        """Count from here. What was freed before is given back first, so that using it anew counts."""
        give_back()
        self.baseline = self.peak = self._held()
        self._reset()

    def mark(self) -> int | None:
        """End of a phase: its peak, which counts towards the whole; the next one starts."""
        now = resident(self.process)
        if now is None:
            return None
        held = now["RssAnon"] + now["RssShmem"]
        found = max(now["VmHWM"] - now["RssFile"], held)
        if self.beside:
            mine = held_by([self.process.name], self.process.parent)
            if mine is None:
                return None
            found -= held - mine
        self.peak = max(found, self.peak or 0)
        self._reset()
        return found if self.resets else None

    def _held(self) -> int | None:
        if self.beside:
            return held_by([self.process.name], self.process.parent)
        now = resident(self.process)
        return None if now is None else now["RssAnon"] + now["RssShmem"]

    def _reset(self) -> None:
        try:
            (self.process / "clear_refs").write_text(RESET_PEAK)
        except OSError:
            self.resets = False


def give_back() -> None:
    """Have the C library hand back to the system what was freed, where it can (glibc)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def limit_of(process: Path) -> int | None:
    """Bytes that a process may have at most (`ulimit -v`, `-d`), also one that has ended and is not reaped yet."""
    names = ("Max address space", "Max data size")
    try:
        lines = (process / "limits").read_text().splitlines()
    except OSError:
        return None
    soft = [line[26:].split()[0] for line in lines if line.startswith(names)]
    return min((int(limit) for limit in soft if limit.isdecimal()), default=None)


def available(root: Path = Path("/")) -> int | None:
    """Bytes that can still be asked for without harm: as the kernel estimates it, and as the container leaves."""
    try:
        free = numbers((root / "proc/meminfo").read_text(), ("MemAvailable",)).get("MemAvailable")
    except (OSError, ValueError):
        return None
    return min((one for one in (free, processor.memory_left(root)) if one is not None), default=None)


def is_near(held: int, limit: int) -> bool:
    """Whether more than a limit allows may have been asked for: what is refused may be twice all that was held.

    A ratio, so that it holds for any size of machine; what a limit is compared with was held by the same process.
    """
    return 3 * held >= limit


def be_first_choice(proc: Path = Path("/proc")) -> None:
    """Have the kernel end this process, and what it starts, before all others when memory runs out."""
    with suppress(OSError):
        (proc / "self/oom_score_adj").write_text("1000")


def resident(process: Path) -> dict[str, int] | None:
    """Bytes in memory of a process (`Rss…`), and their peak (`VmHWM`); None where the system does not tell.

    A child's `ru_maxrss` would be its parent's.
    """
    names = ("VmHWM", "RssAnon", "RssFile", "RssShmem")
    try:
        found = numbers((process / "status").read_text(), names)
    except (OSError, ValueError):
        return None
    return found if found.keys() == set(names) else None


def held_by(pids: Iterable[int | str], proc: Path = Path("/proc")) -> int | None:
    """Bytes that some processes hold together, now: a page that several of them share counts once.

    A page that processes outside share too counts with the share of those inside. Those that have ended hold nothing.
    """
    total = 0
    for pid in pids:
        try:
            shares = numbers((proc / str(pid) / "smaps_rollup").read_text(), ("Pss_Anon", "Pss_Shmem"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        except (OSError, ValueError):
            return None
        if not shares:
            return None
        total += sum(shares.values())
    return total


def numbers(text: str, names: tuple[str, ...]) -> dict[str, int]:
    """Bytes by name, from lines such as `VmHWM:  1234 kB`."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: int(value.split()[0]) * 1024 for name, _, value in lines if name in names}
