"""The clock: warm-up, calibrated windows, the check that waiting really waited, latency.

The harness owns the loop, the clock, synchronisation and garbage collection; an implementation
owns the step. What is timed is dispatching k steps and then waiting for the last of them.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.machine import noise
from bench.machine.noise import Meter
from bench.spec import Request

Clock = Callable[[], float]
Numbers = Sequence[float]
Gather = Callable[[Numbers], Sequence[Numbers]]  # this process's numbers -> those of all, by rank; waits for them
SYNC_SHARE = 0.01  # waiting for an idle device may cost this share of a window
CHECK_SHARE = 0.01  # waiting again, through another door, may take this share of a window
CHECK_S = 1e-3  # or this long, whichever is more


def alone(numbers: Numbers) -> Sequence[Numbers]:
    """What gathers where a cell has one process."""
    return [numbers]


@dataclass(kw_only=True)
class Training:
    """A training under way: the step, its state, and how to wait for it."""

    step: Callable[[Any, Any], tuple[Any, Any]]  # (state, batch) -> (state, losses); only dispatches
    state: Any
    feed: Callable[[int], Any]  # number of the step -> its batch
    sync: Callable[[Any], None]  # wait for everything in a structure of device values
    peek: Callable[[Any, Any], None]  # (state, losses): wait through another door, by reading values to the host
    gather: Gather = alone  # processes of one cell take the same steps: what decides on them is gathered
    done: int = 0  # steps so far
    losses: Any = None  # of the last step, on the device

    def advance(self, count: int) -> None:
        """Dispatch `count` steps; wait for none of them."""
        step, feed, state, losses = self.step, self.feed, self.state, self.losses
        for number in range(self.done, self.done + count):
            state, losses = step(state, feed(number))
        self.state, self.losses, self.done = state, losses, self.done + count

    def wait(self) -> None:
        self.sync((self.state, self.losses))

    def slowest(self, seconds: float) -> float:
        """The most that any process of the cell took."""
        return max(one for (one,) in self.gather([seconds]))


@dataclass(frozen=True, kw_only=True)
class Window:
    """Steps that were timed together."""

    steps: int
    begin_s: float  # by the clock of this process
    seconds: float  # of the slowest process
    own_s: float  # of this process
    rewait_s: float  # that waiting again took
    cpu: dict[str, float | None]  # seconds of the cores in the meantime, as `bench.machine.noise` splits them


def steady_state(
    training: Training, request: Request, clock: Clock = time.perf_counter, meter: Meter | None = None
) -> dict[str, Any]:
    """Windows and latency of a warmed-up training, with the sync check: those fields of its record.

    The status is `invalid`, with a reason, where the check failed.
    """
    cores = noise.cores_of_process()
    meter = meter or Meter(read=lambda: noise.usage(cores))
    with no_collection():
        windows = measure_windows(training, request, clock, meter)
        latency_s = measure_latency(training, request, clock)
    shares = [window.rewait_s / window.own_s for window in windows]
    fault = sync_fault([window.own_s for window in windows], [window.rewait_s for window in windows])
    return {
        "status": "invalid" if fault else "ok",
        "reason": fault,
        "windows": [
            {"steps": window.steps, "begin_s": window.begin_s, "seconds": window.seconds, **window.cpu}
            for window in windows
        ],
        "own_s": [window.own_s for window in windows],
        "latency_s": latency_s,
        "sync_check": {"median_share": statistics.median(shares), "max_share": max(shares)},
    }


def measure_windows(training: Training, request: Request, clock: Clock, meter: Meter) -> list[Window]:
    """Time windows until there are enough of them, and enough seconds in all.

    A window that comes out too short for its own clock and sync starts the list anew with longer ones, so that
    no window is left out for being fast.
    """
    if request.window_steps:
        return [
            measure_window(training, request, request.window_steps, clock, meter) for _ in range(request.min_windows)
        ]
    least_s = max(request.window_s, _idle_sync_s(training, clock) / SYNC_SHARE)
    steps, windows = 1, list[Window]()
    while len(windows) < request.min_windows or sum(window.seconds for window in windows) < request.min_time_s:
        window = measure_window(training, request, steps, clock, meter)
        if window.seconds < least_s:
            windows = []
            steps = max(steps + 1, min(10 * steps, math.ceil(1.2 * steps * least_s / max(window.seconds, 1e-9))))
        else:
            windows.append(window)
    return windows


def measure_window(training: Training, request: Request, steps: int, clock: Clock, meter: Meter) -> Window:
    """Time some steps. What takes time and is none of theirs, such as reading the meter, comes before and after.

    Before waiting again nothing may come between: work that was not waited for would go on meanwhile. But where the
    cell's processes share the cores all of them finish first, as else one waits again beside another's steps.
    """
    meter.start()
    training.gather([])
    start = clock()
    training.advance(steps)
    training.wait()
    own_s = clock() - start
    if request.cell.emulated:
        training.gather([])
    end = clock()
    training.peek(training.state, training.losses)
    rewait_s, cpu = clock() - end, meter.stop()
    slowest_s = training.slowest(own_s)
    return Window(steps=steps, begin_s=start, seconds=slowest_s, own_s=own_s, rewait_s=rewait_s, cpu=cpu)


def _idle_sync_s(training: Training, clock: Clock) -> float:
    training.wait()
    costs: list[float] = []
    for _ in range(5):
        start = clock()
        training.wait()
        costs.append(clock() - start)
    return training.slowest(statistics.median(costs))


def measure_latency(training: Training, request: Request, clock: Clock) -> list[float]:
    """Seconds of single steps, each waited for, until there are enough or it has taken long enough.

    A step's seconds are those of the slowest process.
    """
    samples: list[float] = []
    begin = clock()
    while len(samples) < request.latency_steps and training.slowest(clock() - begin) < request.latency_s:
        start = clock()
        training.advance(1)
        training.wait()
        samples.append(training.slowest(clock() - start))
    return samples


def sync_fault(windows_s: list[float], rewaits_s: list[float]) -> str | None:
    """Why the windows cannot be trusted, or None: after an honest wait there is nothing left to wait for."""
    window_s, rewait_s = statistics.median(windows_s), statistics.median(rewaits_s)
    if rewait_s <= max(CHECK_SHARE * window_s, CHECK_S):
        return None
    return f"after a window of {window_s:.3g} s, waiting again took {rewait_s:.3g} s more: sync does not wait"


@contextmanager
def no_collection() -> Generator[None]:
    """Keep Python's garbage collector out of the timed part; what is left over is collected before it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
