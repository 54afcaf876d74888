"""The clock, driven by a fake one: exact, instant, and able to fail."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from bench import measure
from bench.machine.noise import Meter, Usage
from bench.measure import Stopwatch, Training, Window
from bench.spec import Request
from bench.waits import Caches
from tests.unit.test_spec import CELL

REQUEST = Request(cell=CELL, task="measure", folder="", min_time_s=1.0, min_windows=5, window_s=0.1)
UNMETERED = Meter(read=lambda: None)
CACHES = Caches(64)


@dataclass
class Device:
    """A device on which work takes time of the fake clock, dispatched at once and waited for by `sync`."""

    step_s: float
    sync_s: float = 0.0
    dispatch_s: float = 0.0
    honest: bool = True  # whether sync waits
    read_s: float = 0.0  # that reading values takes, however idle the device is
    now: float = 0.0
    busy_until: float = 0.0
    waits: list[float] = field(default_factory=list[float])

    def step(self, state: int, batch: Any) -> tuple[int, int]:
        self.now += self.dispatch_s
        self.busy_until = max(self.now, self.busy_until) + self.step_s
        return state + 1, state

    def sync(self, _: Any) -> None:
        self.now += self.sync_s
        if self.honest:
            self.finish()

    def finish(self) -> None:
        self.now = max(self.now, self.busy_until)

    def read(self, *_: Any) -> None:
        self.finish()
        self.now += self.read_s

    def clock(self) -> float:
        return self.now

    def training(self, feed: Callable[[int], Any] = lambda number: number) -> Training:
        return Training(step=self.step, state=0, feed=feed, sync=self.sync, peek=self.read)


def windows_of(device: Device, request: Request = REQUEST, training: Training | None = None) -> list[Window]:
    watch = Stopwatch(training=training or device.training(), clock=device.clock, meter=UNMETERED, caches=CACHES)
    return measure.measure_windows(watch, request)


def steady(device: Device, meter: Meter = UNMETERED, visits: measure.Visits | None = None) -> dict[str, Any]:
    return measure.steady_state(device.training(), REQUEST, visits, device.clock, meter, CACHES)


def test_windows_are_long_enough_and_enough() -> None:
    device = Device(step_s=0.003)
    fields = steady(device)
    seconds = [window["seconds"] for window in fields["windows"]]
    assert fields["status"] == "ok"
    assert len(seconds) >= 5 and min(seconds) >= 0.1 and sum(seconds) >= 1.0
    for window in fields["windows"]:
        assert window["seconds"] == pytest.approx(window["steps"] * 0.003)


def test_five_windows_even_where_one_is_enough() -> None:
    device = Device(step_s=2.0)
    windows = windows_of(device)
    assert [window.steps for window in windows] == [1, 1, 1, 1, 1]


def test_window_makes_a_slow_sync_negligible() -> None:
    device = Device(step_s=0.001, sync_s=0.02)
    windows = windows_of(device)
    assert min(window.seconds for window in windows) >= 0.02 / 0.01


def test_a_device_that_turns_fast_loses_no_window_for_it() -> None:
    """When steps turn faster, all windows are taken anew: none is kept because it was slow."""
    device = Device(step_s=0.04)
    training = device.training()
    slow_steps = 10

    def step(state: int, batch: Any) -> tuple[int, int]:
        device.step_s = 0.04 if training.done + state - training.state < slow_steps else 0.01
        return Device.step(device, state, batch)

    training.step = step
    windows = windows_of(device, training=training)
    assert {round(window.seconds / window.steps, 9) for window in windows} == {0.01}


def test_forgotten_wait_is_invalid() -> None:
    device = Device(step_s=0.02, dispatch_s=0.001, honest=False)
    fields = steady(device)
    assert fields["status"] == "invalid" and "longer than on an idle device" in fields["reason"]
    assert fields["sync_check"]["median_share"] > 0.01


@dataclass
class Lagging(Device):
    """A device whose sync waits for a share of the window alone, or for an earlier step than the last."""

    left_out: float = 0.0  # of the seconds that are to be waited for
    steps_behind: int = 0

    def sync(self, _: Any) -> None:
        target = self.busy_until - self.left_out * (self.busy_until - self.now) - self.steps_behind * self.step_s
        self.now = max(self.now, target)


@pytest.mark.parametrize("read_s", [0.0, 0.0016, 0.02])
@pytest.mark.parametrize(
    "device",
    [
        Lagging(step_s=0.005, left_out=0.05),
        Lagging(step_s=0.005, steps_behind=1),
        Lagging(step_s=0.08, steps_behind=1),
        Device(step_s=0.005, dispatch_s=0.0005, honest=False),
    ],
    ids=["leaves out 5 %", "waits for the step before", "the same, of long steps", "does not wait"],
)
def test_every_lie_about_waiting_is_caught(device: Device, read_s: float) -> None:
    """However long reading values takes on an idle device."""
    fields = steady(replace(device, read_s=read_s))
    assert fields["status"] == "invalid" and "longer than on an idle device" in fields["reason"]


@pytest.mark.parametrize("read_s", [0.0, 0.0016, 0.02])
def test_an_honest_device_may_read_slowly(read_s: float) -> None:
    fields = steady(Device(step_s=0.005, read_s=read_s))
    assert fields["status"] == "ok" and fields["sync_check"]["max_share"] == pytest.approx(0.0)
    assert fields["windows"][0]["rewait_s"] == pytest.approx(fields["windows"][0]["control_s"])


def test_a_suspicion_is_cleared_by_more_windows() -> None:
    """Whatever disturbs the first five readings, five are too few to accuse anyone."""
    device = Device(step_s=0.02)
    readings = 0

    def read(*_: Any) -> None:
        nonlocal readings
        readings += 1
        device.finish()
        device.now += 0.01 if readings <= 10 and readings % 2 else 0.0

    training = device.training()
    training.peek = read
    fields = measure.steady_state(training, replace(REQUEST, min_time_s=0.1), None, device.clock, UNMETERED, CACHES)
    assert fields["status"] == "ok" and len(fields["windows"]) == 5 and readings > 10


@dataclass
class Caller:
    """Calls for so many windows; other cells have their turn meanwhile."""

    device: Device
    count: int
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __iter__(self) -> Iterator[None]:
        for _ in range(self.count):
            self.device.now += 7.0
            yield

    def tell(self, content: dict[str, Any]) -> None:
        self.told.append(content)


def test_a_visit_is_one_untimed_step_and_one_window() -> None:
    device = Device(step_s=0.01)
    caller = Caller(device, 6)
    fields = steady(device, visits=caller)
    lasting, *windows = caller.told
    assert lasting["window_s"] == pytest.approx(0.01 * lasting["steps"]) and lasting["window_s"] >= 0.2
    assert windows == fields["windows"] and len(windows) == 6
    gaps = [later["begin_s"] - one["begin_s"] - one["seconds"] for one, later in pairwise(windows)]
    assert gaps == pytest.approx([7.01] * 5), "a step behind the pause is not timed"


def test_steps_of_a_visit_stay_the_same_when_they_turn_fast() -> None:
    """Windows of twice the speed are still long enough; none is left out for being fast."""
    device = Device(step_s=0.04)
    caller = Caller(device, 4)
    tell = caller.tell

    def faster(content: dict[str, Any]) -> None:
        tell(content)
        device.step_s = 0.02

    caller.tell = faster  # type: ignore[method-assign]
    fields = steady(device, visits=caller)
    assert len({window["steps"] for window in fields["windows"]}) == 1
    assert [window["seconds"] for window in fields["windows"]] == pytest.approx([0.12] * 4)


@pytest.mark.parametrize(("step_s", "samples"), [(0.001, 50), (0.3, 4), (5.0, 1)])
def test_latency_ends_after_steps_or_seconds(step_s: float, samples: int) -> None:
    device = Device(step_s=step_s)
    latency_s = measure.measure_latency(device.training(), REQUEST, device.clock)
    assert latency_s == pytest.approx([step_s] * samples)


def test_steps_are_fed_in_order_and_states_are_threaded() -> None:
    fed: list[int] = []
    device = Device(step_s=0.01)
    training = device.training(lambda number: fed.append(number))
    training.advance(3)
    training.advance(2)
    assert fed == [0, 1, 2, 3, 4] and training.state == 5 and training.losses == 4


def test_collector_is_off_while_timing_and_on_after(monkeypatch: pytest.MonkeyPatch) -> None:
    import gc

    seen: list[bool] = []
    device = Device(step_s=0.1)
    training = device.training(lambda number: seen.append(gc.isenabled()))
    measure.steady_state(training, REQUEST, None, device.clock, UNMETERED, CACHES)
    assert seen and not any(seen) and gc.isenabled()


def test_foreign_and_stolen_time_is_read_around_each_window() -> None:
    """The cell uses 0.9 of its core, a foreign process half of another; a tenth of a core is stolen."""
    device = Device(step_s=0.25)

    def used() -> Usage:
        now = device.now
        return Usage(busy_s=1.4 * now, steal_s=0.1 * now, own_s=0.9 * now)

    fields = steady(device, Meter(read=used))
    for window in fields["windows"]:
        shares = {name: window[name] / window["seconds"] for name in ("foreign_cpu_s", "steal_s", "cpu_s")}
        assert shares == pytest.approx({"foreign_cpu_s": 0.5, "steal_s": 0.1, "cpu_s": 0.9})


def test_reading_the_meter_is_not_timed() -> None:
    device = Device(step_s=0.2)

    def slow() -> None:
        device.now += 3.0

    fields = steady(device, Meter(read=slow))
    assert {round(window["seconds"], 9) for window in fields["windows"]} == {0.2}
    assert fields["sync_check"]["max_share"] == 0
    assert fields["windows"][0]["foreign_cpu_s"] is None
