"""The clock: warm-up, calibrated windows, the wait check, latency.

The harness owns the loop, the clock, synchronization and garbage collection; an implementation owns the step. A window
times the dispatch of k steps and the wait for the last of them. Windows follow each other, or are taken in visits: the
runner calls on several live cells in turn, so that each cell's windows are seconds apart.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from bench import waits
from bench.machine import noise
from bench.machine.noise import Meter
from bench.spec import Request
from bench.waits import Caches, Wait

Clock = Callable[[], float]
Numbers = Sequence[float]
Gather = Callable[[Numbers], Sequence[Numbers]]  # this process's numbers -> those of all, by rank; waits for them
SYNC_SHARE = 0.01  # waiting for an idle device may cost this share of a window
SPARE = 1.2  # windows are planned so much longer than needed, as steps may turn faster


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
    peek: Callable[[Any, Any], None]  # (state, losses): read some of their values to the host, which waits too
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
    wait: Wait  # of this process
    cpu: dict[str, float | None]  # seconds of the cores in the meantime, as `bench.machine.noise` splits them

    @property
    def own_s(self) -> float:
        """Seconds of this process."""
        return self.wait.window_s

    @property
    def fields(self) -> dict[str, Any]:
        """The window as a record holds it."""
        waited = {"rewait_s": self.wait.rewait_s, "control_s": self.wait.control_s}
        return {"steps": self.steps, "begin_s": self.begin_s, "seconds": self.seconds, **waited, **self.cpu}


class Visits(Protocol):
    """Calls of the runner for one window each."""

    def __iter__(self) -> Iterator[None]: ...
    def tell(self, content: dict[str, Any]) -> None: ...


@dataclass(kw_only=True)
class Stopwatch:
    """Takes the windows of one training."""

    training: Training
    clock: Clock = time.perf_counter
    meter: Meter | None = None
    caches: Caches | None = None

    def __post_init__(self) -> None:
        cores = noise.cores_of_process()
        self.meter = self.meter or Meter(read=lambda: noise.usage(cores))
        self.caches = self.caches or Caches()

    def window(self, steps: int, together: bool = False) -> Window:
        """Time some steps, then read their values twice; what is none of theirs comes before and after.

        Before the first reading nothing may come between: work that was not waited for would go on meanwhile. But where
        the cell's processes share the cores (`together`) all of them finish first: else one reads beside another's
        steps.
        """
        training, clock = self.training, self.clock
        assert self.meter and self.caches
        self.meter.start()
        training.gather([])
        start = clock()
        training.advance(steps)
        training.wait()
        own_s = clock() - start
        if together:
            training.gather([])
        rewait_s = self._reading_s()
        cpu = self.meter.stop()
        self.caches.fill()
        wait = Wait(window_s=own_s, rewait_s=rewait_s, control_s=self._reading_s())
        return Window(steps=steps, begin_s=start, seconds=training.slowest(own_s), wait=wait, cpu=cpu)

    def _reading_s(self) -> float:
        start = self.clock()
        self.training.peek(self.training.state, self.training.losses)
        return self.clock() - start

    def idle_sync_s(self) -> float:
        """Seconds that waiting for an idle device takes, the median of five."""
        self.training.wait()
        costs: list[float] = []
        for _ in range(5):
            start = self.clock()
            self.training.wait()
            costs.append(self.clock() - start)
        return self.training.slowest(statistics.median(costs))


def steady_state(
    training: Training,
    request: Request,
    visits: Visits | None = None,
    clock: Clock = time.perf_counter,
    meter: Meter | None = None,
    caches: Caches | None = None,
) -> dict[str, Any]:
    """Windows and latency of a warmed-up training, with the wait check: those fields of its record.

    The status is `invalid`, with a reason, where the check failed.
    """
    watch = Stopwatch(training=training, clock=clock, meter=meter, caches=caches)
    with no_collection():
        windows = visited_windows(watch, request, visits) if visits else measure_windows(watch, request)
        checked = [window.wait for window in windows]
        while training.slowest(float(waits.suspected(checked))):
            checked.append(watch.window(windows[-1].steps, request.cell.emulated).wait)
        latency_s = measure_latency(training, request, clock)
    fault = waits.fault(checked)
    return {
        "status": "invalid" if fault else "ok",
        "reason": fault,
        "windows": [window.fields for window in windows],
        "own_s": [window.own_s for window in windows],
        "latency_s": latency_s or None,
        "sync_check": waits.summary(checked),
    }


def measure_windows(watch: Stopwatch, request: Request) -> list[Window]:
    """Time windows one after another until there are enough of them, and enough seconds in all.

    A window that comes out too short for its own clock and sync starts the list anew with longer ones, so that
    no window is left out for being fast.
    """
    if request.window_steps:
        together = request.cell.emulated
        return [watch.window(request.window_steps, together) for _ in range(request.min_windows)]
    least_s = shortest_s(watch, request)
    steps, windows = 1, list[Window]()
    while len(windows) < request.min_windows or sum(window.seconds for window in windows) < request.min_time_s:
        window = watch.window(steps)
        if window.seconds < least_s:
            windows, steps = [], longer(steps, window.seconds, least_s)
        else:
            windows.append(window)
    return windows


def visited_windows(watch: Stopwatch, request: Request, visits: Visits) -> list[Window]:
    """Time one window a visit, behind one untimed step, until the runner calls no more.

    How many steps a window has is settled before the first visit, with room for steps that turn twice as fast.
    """
    least_s, steps = 2.0 * shortest_s(watch, request), 1
    while (window := watch.window(steps)).seconds < least_s:
        steps = longer(steps, window.seconds, least_s)
    windows: list[Window] = []
    visits.tell({"steps": steps, "window_s": window.seconds})
    for _ in visits:
        watch.training.advance(1)
        watch.training.wait()
        windows.append(watch.window(steps))
        visits.tell(windows[-1].fields)
    return windows


def shortest_s(watch: Stopwatch, request: Request) -> float:
    """Seconds that a window must last, so that its wait does not count."""
    return max(request.window_s, watch.idle_sync_s() / SYNC_SHARE)


def longer(steps: int, seconds: float, least_s: float) -> int:
    """Steps of the next window, after one of `seconds` was too short."""
    return max(steps + 1, min(10 * steps, math.ceil(SPARE * steps * least_s / max(seconds, 1e-9))))


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


@contextmanager
def no_collection() -> Generator[None]:
    """Keep Python's garbage collector out of the timed part; what is left over is collected before it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
