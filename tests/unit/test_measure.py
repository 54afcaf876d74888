"""The clock, driven by a fake one: exact, instant, and able to fail."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench import measure
from bench.machine.noise import Meter, Usage
from bench.measure import Training
from bench.spec import Request
from tests.unit.test_spec import CELL

REQUEST = Request(cell=CELL, task="measure", folder="", min_time_s=1.0, min_windows=5, window_s=0.1)
UNMETERED = Meter(read=lambda: None)


@dataclass
class Device:
    """A device on which work takes time of the fake clock, dispatched at once and waited for by `sync`."""

    step_s: float
    sync_s: float = 0.0
    dispatch_s: float = 0.0
    honest: bool = True  # whether sync waits
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

    def clock(self) -> float:
        return self.now

    def training(self, feed: Callable[[int], Any] = lambda number: number) -> Training:
        return Training(step=self.step, state=0, feed=feed, sync=self.sync, peek=lambda _state, _losses: self.finish())


def test_windows_are_long_enough_and_enough() -> None:
    device = Device(step_s=0.003)
    fields = measure.steady_state(device.training(), REQUEST, device.clock)
    seconds = [window["seconds"] for window in fields["windows"]]
    assert fields["status"] == "ok"
    assert len(seconds) >= 5 and min(seconds) >= 0.1 and sum(seconds) >= 1.0
    for window in fields["windows"]:
        assert window["seconds"] == pytest.approx(window["steps"] * 0.003)


def test_five_windows_even_where_one_is_enough() -> None:
    device = Device(step_s=2.0)
    windows = measure.measure_windows(device.training(), REQUEST, device.clock, UNMETERED)
    assert [window.steps for window in windows] == [1, 1, 1, 1, 1]


def test_window_makes_a_slow_sync_negligible() -> None:
    device = Device(step_s=0.001, sync_s=0.02)
    windows = measure.measure_windows(device.training(), REQUEST, device.clock, UNMETERED)
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
    windows = measure.measure_windows(training, REQUEST, device.clock, UNMETERED)
    assert {round(window.seconds / window.steps, 9) for window in windows} == {0.01}


def test_forgotten_wait_is_invalid() -> None:
    device = Device(step_s=0.02, dispatch_s=0.001, honest=False)
    fields = measure.steady_state(device.training(), REQUEST, device.clock)
    assert fields["status"] == "invalid" and "sync does not wait" in fields["reason"]
    assert fields["sync_check"]["median_share"] > 0.01


@pytest.mark.parametrize(
    ("window_s", "rewait_s", "fault"),
    [(0.1, 0.0009, False), (0.1, 0.0011, True), (1.0, 0.009, False), (1.0, 0.011, True)],
)
def test_waiting_again_may_take_a_hundredth_or_a_millisecond(window_s: float, rewait_s: float, fault: bool) -> None:
    assert bool(measure.sync_fault([window_s] * 5, [rewait_s] * 5)) is fault


def test_one_slow_rewait_is_no_fault() -> None:
    assert measure.sync_fault([0.1] * 5, [0.0, 0.0, 0.0, 0.0, 0.5]) is None


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
    measure.steady_state(training, REQUEST, device.clock)
    assert seen and not any(seen) and gc.isenabled()


def test_foreign_and_stolen_time_is_read_around_each_window() -> None:
    """The cell uses 0.9 of its core, a foreign process half of another; a tenth of a core is stolen."""
    device = Device(step_s=0.25)

    def used() -> Usage:
        now = device.now
        return Usage(busy_s=1.4 * now, steal_s=0.1 * now, own_s=0.9 * now)

    fields = measure.steady_state(device.training(), REQUEST, device.clock, Meter(read=used))
    for window in fields["windows"]:
        shares = {name: window[name] / window["seconds"] for name in ("foreign_cpu_s", "steal_s", "cpu_s")}
        assert shares == pytest.approx({"foreign_cpu_s": 0.5, "steal_s": 0.1, "cpu_s": 0.9})


def test_reading_the_meter_is_not_timed() -> None:
    device = Device(step_s=0.2)

    def slow() -> None:
        device.now += 3.0

    fields = measure.steady_state(device.training(), REQUEST, device.clock, Meter(read=slow))
    assert {round(window["seconds"], 9) for window in fields["windows"]} == {0.2}
    assert fields["sync_check"]["max_share"] == 0
    assert fields["windows"][0]["foreign_cpu_s"] is None
