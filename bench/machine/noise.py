"""Processor time on a cell's cores that was not the cell's own: other processes', and what a hypervisor stole.

The system counts the time of cores in ticks (10 ms on most), so a single short window is known to a tick or two a core.
A process's own time is exact: now and then it exceeds what the ticks have counted so far. What is then below zero is
carried into the next window, so that windows are never negative and their sum is not too large.
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NO_COUNT = "the system does not count the time of single cores (no /proc/stat)"
NAMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")  # the first numbers of a line of a core
BUSY = ("user", "nice", "system", "irq", "softirq")  # guests' time is within user and nice


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Processor seconds up to now."""

    busy_s: float  # of all processes, on the cores asked for
    steal_s: float  # that the cores would have run, had the hypervisor let them
    own_s: float  # of this process and what it started, on any core
    by_core_s: tuple[float, ...] = ()  # `busy_s` of each core


@dataclass(kw_only=True)
class Meter:
    """Splits the processor time of one window after another."""

    read: Callable[[], Usage | None]
    before: Usage | None = None
    carried_s: float = 0.0  # foreign time below zero so far: none or less

    def start(self) -> None:
        self.before = self.read()

    def stop(self) -> dict[str, float | None]:
        """Seconds since `start` of foreign processes, stolen ones, and the cell's own; None where not told."""
        before, after = self.before, self.read()
        if before is None or after is None:
            return {"foreign_cpu_s": None, "steal_s": None, "cpu_s": None}
        own_s = after.own_s - before.own_s
        foreign_s = after.busy_s - before.busy_s - own_s + self.carried_s
        self.carried_s = min(foreign_s, 0.0)
        return {
            "foreign_cpu_s": max(foreign_s, 0.0),
            "steal_s": max(after.steal_s - before.steal_s, 0.0),
            "cpu_s": max(own_s, 0.0),
        }


def usage(cores: Iterable[int], proc: Path = Path("/proc")) -> Usage | None:
    """What the cores and this process have used up to now, or None where the system does not tell."""
    try:
        times = times_of_cores((proc / "stat").read_text(), cores)
    except (OSError, LookupError, ValueError):
        return None
    busy_s, steal_s = sum(busy for busy, _ in times), sum(steal for _, steal in times)
    if busy_s == steal_s == 0:  # as sandboxes have it, which give no counts
        return None
    own_s = time.process_time() + children_s(proc)
    return Usage(busy_s=busy_s, steal_s=steal_s, own_s=own_s, by_core_s=tuple(busy for busy, _ in times))


def times_of_cores(text: str, cores: Iterable[int]) -> list[tuple[float, float]]:
    """Busy and stolen seconds of each of some cores, from the text of /proc/stat.

    Raises:
        LookupError: a core that is not in it.
        ValueError: numbers that are none.
    """
    lines = {line.split(maxsplit=1)[0]: line for line in text.splitlines() if line.startswith("cpu")}
    times = [dict(zip(NAMES, map(int, lines[f"cpu{core}"].split()[1:]), strict=False)) for core in cores]
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return [(sum(one[name] for name in BUSY) * tick_s, one.get("steal", 0) * tick_s) for one in times]


def children_s(proc: Path = Path("/proc")) -> float:
    """Processor seconds of all that this process started: what has ended, and what runs now."""
    ended = os.times()
    ticks, waiting = 0, _children(proc, "self")
    while waiting:
        pid = waiting.pop()
        with suppress(OSError, IndexError, ValueError):  # it has ended meanwhile
            fields = (proc / pid / "stat").read_text().rpartition(")")[2].split()  # a name may hold spaces
            ticks += sum(int(fields[place]) for place in (11, 12, 13, 14))  # its own, and its ended children's
            waiting += _children(proc, pid)
    return ended.children_user + ended.children_system + ticks / os.sysconf("SC_CLK_TCK")


def _children(proc: Path, pid: str) -> list[str]:
    """Ids of the children of each thread of a process; none where the system keeps no such list."""
    found: list[str] = []
    with suppress(OSError):
        for task in (proc / pid / "task").iterdir():
            with suppress(OSError):
                found += (task / "children").read_text().split()
    return found


def cores_of_process() -> tuple[int, ...]:
    """Cores that this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
