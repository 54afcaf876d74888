"""Whether the cores that will be measured on are free, and waiting until they are."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from bench.machine import noise
from bench.machine.noise import Usage
from bench.units import digits

SAMPLE_S = 0.5  # some fifty ticks of 10 ms, in which a core's time is counted: a look is off by 2 % of each core
CALM_SAMPLES = 3  # in a row, until it counts as quiet
# Foreign work that is too much, in cores. No share of the machine: a step waits for its slowest core, so that one busy
# process does as much harm on 128 cores as on two. Many cores have many small background tasks, hence the second limit.
BUSY_CORES = 0.2
BUSY_SHARE = 0.01  # of all cores, where that is more
BUSY_CORE = 0.5  # of any single core: a process that computes takes all of one
NAMED = 3  # processes


@dataclass(frozen=True, kw_only=True)
class Load:
    """What others do on some cores."""

    cores: int  # how many were looked at
    foreign_cores: float | None  # how many of them other processes kept busy; None where the system does not tell
    load_1min: float  # processes that ran or waited, the last minute's mean, this one's own included
    machine_cores: int  # over which `load_1min` is spread: the machine's, of which a container may have few
    busiest_core: float | None = None  # share of the one core that others used most
    busiest: Sequence[tuple[str, float]] = ()  # name of a process, cores that it used

    @property
    def busy(self) -> bool:
        total, most = self.foreign_cores or 0.0, self.busiest_core or 0.0
        return total > max(BUSY_CORES, BUSY_SHARE * self.cores) or most > BUSY_CORE

    @property
    def warning(self) -> str | None:
        """One line that says what disturbs, or None."""
        last_minute = f"{digits(self.load_1min)} processes ran in the mean over the last minute"
        if self.busy and self.foreign_cores is not None:
            who = (
                ", ".join(f"{name} {digits(used)}" for name, used in self.busiest) or "none that can be seen from here"
            )
            used = f"other processes use {digits(self.foreign_cores)} of {self.cores} cores"
            return f"{used} ({who}), and {last_minute}; results will be slower and noisier: see --wait-for-idle"
        if self.load_1min > max(1.0, self.machine_cores / 2):
            return f"{last_minute} on {self.machine_cores} cores; if that goes on, results will be noisy"
        return None


def settle(
    cores: Sequence[int],
    wait_s: float | None,
    note: Callable[[str], None],
    sample: "Callable[[Sequence[int]], Load] | None" = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Warn if others use the cores; with `wait_s` wait until they do not, or so long.

    Returns:
        What `run.json` says of it: the load at the start, seconds waited, whether the cores were quiet then.
    """
    sample = sample or sample_load
    first = found = sample(cores)
    begin, calm, waited_s = clock(), 0, 0.0
    if found.busy and wait_s is not None:
        note(f"{found.warning}; waiting at most {wait_s:g} s for them to end")
        while calm < CALM_SAMPLES and clock() - begin < wait_s:
            found = sample(cores)
            calm = 0 if found.busy else calm + 1
        waited_s = clock() - begin
        if calm < CALM_SAMPLES:
            why = found.warning or "quiet for a moment only"
            note(f"not quiet after {wait_s:g} s, measuring all the same: {why}")
    elif found.warning:
        note(found.warning)
    quiet = None if found.foreign_cores is None else not found.busy and (not waited_s or calm == CALM_SAMPLES)
    return asdict(first) | {"waited_s": waited_s, "quiet": quiet}


def sample_load(cores: Sequence[int], seconds: float = SAMPLE_S) -> Load:
    """Look for a while at what others do on the cores."""
    listed, processes = time.monotonic(), times_of_others()  # before the look: of many processes it takes seconds
    before, begin = noise.usage(cores), time.monotonic()
    time.sleep(seconds)
    after, end = noise.usage(cores), time.monotonic()
    foreign, busiest_core = foreign_work(before, after, end - begin) if before and after else (None, None)
    used = [
        (process, name, (cpu_s - processes[process][1]) / (end - listed))
        for process, (name, cpu_s) in times_of_others().items()
        if process in processes
    ]
    busiest = sorted(used, key=lambda one: -one[2])[: 2 * NAMED]
    named = [(name, share) for process, name, share in busiest if share > 0.01 and may_use(process, cores)]
    load_1min = round(os.getloadavg()[0], 2)
    return Load(
        cores=len(cores), foreign_cores=foreign, load_1min=load_1min, machine_cores=os.cpu_count() or len(cores),
        busiest_core=busiest_core, busiest=named[:NAMED],
    )  # fmt: skip


def foreign_work(before: Usage, after: Usage, elapsed_s: float) -> tuple[float, float]:
    """Cores that others used in the meantime, and their share of the one that they used most.

    On which core this process ran is not told: its own time is taken off both.
    """
    own_s = after.own_s - before.own_s
    by_core = [now - then for then, now in zip(before.by_core_s, after.by_core_s, strict=True)]
    found = (after.busy_s - before.busy_s, max(by_core, default=0.0))
    total, most = (max(busy_s - own_s, 0.0) / elapsed_s for busy_s in found)
    return total, most


def times_of_others() -> dict[psutil.Process, tuple[str, float]]:
    """Name and processor seconds of every process that is not this one or its child."""
    own = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    found: dict[psutil.Process, tuple[str, float]] = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        info: dict[str, Any] = process.info  # pyright: ignore[reportAttributeAccessIssue]
        if process.pid not in own and info["cpu_times"]:
            found[process] = (info["name"] or "?", info["cpu_times"].user + info["cpu_times"].system)
    return found


def may_use(process: psutil.Process, cores: Sequence[int]) -> bool:
    """Whether a process may run on one of the cores; yes where that is not told."""
    try:
        return bool(set(process.cpu_affinity() or cores) & set(cores))
    except (psutil.Error, AttributeError):
        return True
