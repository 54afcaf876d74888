"""Which of a process's windows count, and what they say of a steady step."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from bench.record import Record
from bench.stats import Middle, middle

TICK_S = 0.01  # in which /proc/stat counts: Linux shows 100 ticks a second to programs, whatever it runs at itself
TAKEN = 0.2  # share of the cell's cores that others may take before a window is set aside


def taken(record: Record) -> list[bool]:
    """For each window whether others had more than `TAKEN` of the cell's cores, beyond the error of counting.

    What counts is the time of others (processes, the hypervisor), never how slow the window was: a rule that looks at
    speed makes a cell faster that scatters more. Without a fifth of its cores, what fills them all takes a quarter
    longer. Time is counted in ticks, on each core up to one too many: that much is allowed for, so that rounding sets
    no window aside, however short it is.
    """
    threads: Mapping[str, Any] = record.get("threads") or {}
    cores: list[int] = threads.get("affinity") or []
    found: list[dict[str, Any]] = record["windows"] or []
    return [bool(cores) and _others_s(one) > len(cores) * (TAKEN * one["seconds"] + TICK_S) for one in found]


def _others_s(window: Mapping[str, Any]) -> float:
    return math.fsum(window.get(name) or 0.0 for name in ("foreign_cpu_s", "steal_s"))


def busy_throughout(record: Record) -> bool:
    """Whether others took too much in more than half of the windows: the machine was busy, and all windows count."""
    found = taken(record)
    return 2 * sum(found) > len(found)


def set_aside(record: Record) -> list[bool]:
    """For each window whether it is set aside: by what others took, and never more than half of a process's."""
    found = taken(record)
    return found if not busy_throughout(record) else [False] * len(found)


def counted(record: Record) -> list[dict[str, Any]]:
    """The windows that count: all but those set aside."""
    windows: list[dict[str, Any]] = record["windows"] or []
    return [window for window, aside in zip(windows, set_aside(record), strict=True) if not aside]


def step(record: Record) -> Middle | None:
    """Where the time of a steady step lies, as a logarithm of seconds, and how well the windows that count say it."""
    steps = [window["seconds"] / window["steps"] for window in counted(record)]
    return middle(steps) if min(steps, default=0.0) > 0 else None


def notes(records: Iterable[Record]) -> list[str]:
    """How many windows do not count, and where all had to count; nothing where others took too little of the cores."""
    ok = [one for one in records if one["status"] == "ok"]
    counts, busy = sum(sum(set_aside(one)) for one in ok), sum(map(busy_throughout, ok))
    total, share = sum(len(one["windows"] or []) for one in ok), f"more than {100 * TAKEN:.0f} % of the cores"
    said = f"set aside: {counts} of {total} windows, in which others took {share}"
    held = f"busy throughout: {busy} of {len(ok)} processes; others took {share} in most windows: all count"
    return [*([said] if counts else []), *([held] if busy else [])]
