"""The clock: warm-up, calibrated windows, the check that waiting really waited, latency.

The harness owns the loop, the clock, synchronisation and garbage collection; an implementation
owns the step. What is timed is dispatching k steps and then waiting for the last of them.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.spec import Request

Clock = Callable[[], float]
SYNC_SHARE = 0.01  # waiting for an idle device may cost this share of a window
CHECK_SHARE = 0.01  # waiting again, through another door, may take this share of a window
CHECK_S = 1e-3  # or this long, whichever is more


@dataclass(kw_only=True)
class Training:
    """A training under way: the step, its state, and how to wait for it."""

    step: Callable[[Any, Any], tuple[Any, Any]]  # (state, batch) -> (state, losses); only dispatches
    state: Any
    feed: Callable[[int], Any]  # number of the step -> its batch
    sync: Callable[[Any], None]  # wait for everything in a structure of device values
    peek: Callable[[Any, Any], None]  # (state, losses): wait through another door, by reading values to the host
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


def steady_state(training: Training, request: Request, clock: Clock = time.perf_counter) -> dict[str, Any]:
    """Windows and latency of a warmed-up training, with the sync check: those fields of its record.

    The status is `invalid`, with a reason, where the check failed.
    """
    with no_collection():
        windows, rewaits = measure_windows(training, request, clock)
        latency_s = measure_latency(training, request, clock)
    shares = [rewait_s / seconds for (_, seconds), rewait_s in zip(windows, rewaits, strict=True)]
    fault = sync_fault([seconds for _, seconds in windows], rewaits)
    return {
        "status": "invalid" if fault else "ok",
        "reason": fault,
        "windows": [{"steps": k, "seconds": seconds, "foreign_cpu_s": None, "steal_s": None} for k, seconds in windows],
        "latency_s": latency_s,
        "sync_check": {"median_share": statistics.median(shares), "max_share": max(shares)},
    }


def measure_windows(training: Training, request: Request, clock: Clock) -> tuple[list[tuple[int, float]], list[float]]:
    """Time windows until there are enough of them, and enough seconds in all.

    A window that comes out too short for its own clock and sync starts the list anew with longer ones, so that
    no window is left out for being fast.

    Returns:
        (steps, seconds) of each window, and for each the seconds that waiting again took.
    """
    least_s = max(request.window_s, _idle_sync_s(training, clock) / SYNC_SHARE)
    steps, windows, rewaits = 1, list[tuple[int, float]](), list[float]()
    while len(windows) < request.min_windows or sum(seconds for _, seconds in windows) < request.min_time_s:
        start = clock()
        training.advance(steps)
        training.wait()
        end = clock()
        training.peek(training.state, training.losses)
        rewait_s, seconds = clock() - end, end - start
        if seconds < least_s:
            windows, rewaits = [], []
            steps = max(steps + 1, min(10 * steps, math.ceil(1.2 * steps * least_s / max(seconds, 1e-9))))
        else:
            windows.append((steps, seconds))
            rewaits.append(rewait_s)
    return windows, rewaits


def _idle_sync_s(training: Training, clock: Clock) -> float:
    training.wait()
    costs: list[float] = []
    for _ in range(5):
        start = clock()
        training.wait()
        costs.append(clock() - start)
    return statistics.median(costs)


def measure_latency(training: Training, request: Request, clock: Clock) -> list[float]:
    """Seconds of single steps, each waited for, until there are enough or it has taken long enough."""
    samples: list[float] = []
    begin = clock()
    while len(samples) < request.latency_steps and clock() - begin < request.latency_s:
        start = clock()
        training.advance(1)
        training.wait()
        samples.append(clock() - start)
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
