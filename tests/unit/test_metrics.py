"""Break-even of two cells: by hand, without a result, and with an interval that holds the truth."""

import math
from typing import Any

import numpy as np
import pytest

from bench import metrics
from bench.metrics import BreakEven, cold_start_s, cost


def record(start_s: float, step_s: float, cache: str = "cold", status: str = "ok") -> dict[str, Any]:
    phases = {"import": 0.5 * start_s, "init": 0.1 * start_s, "compile": 0.4 * start_s}
    windows = [{"steps": 10, "seconds": 10 * step_s}]
    return {"phases_s": phases, "compile_cache": cache, "status": status, "windows": windows}


def break_even(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> BreakEven:
    return metrics.break_even(cost(one), cost(other))


def test_by_hand() -> None:
    """60 s against 10 s of start, 0.1 s against 0.2 s a step: the 50 s are made up for after 500 steps."""
    slow_start, quick_start = [record(60.0, 0.1), record(5.0, 0.1, "warm")], [record(10.0, 0.2)]
    for found in (break_even(slow_start, quick_start), break_even(quick_start, slow_start)):
        assert found.steps == pytest.approx(500)
        assert found.low is found.high is found.reason is None, "one cold start each: no interval"


def test_never_and_from_the_start() -> None:
    assert break_even([record(60.0, 0.2)], [record(10.0, 0.1)]) == BreakEven(
        steps=None, reason="never: the one with the dearer start has no faster step"
    )
    assert break_even([record(60.0, 0.2)], [record(60.0, 0.1)]).reason == (
        "from the start: both take equally long to start"
    )


def test_missing_values() -> None:
    warm, failed = record(60.0, 0.1, "warm"), record(60.0, 0.1, status="crashed")
    for records in ([], [warm], [failed], [{**warm, "phases_s": None}]):
        assert break_even(records, [record(10.0, 0.2)]).reason == "no cold start of one of the two"
    assert cold_start_s({**record(1.0, 1.0), "phases_s": {"import": None, "init": 1.0, "compile": 1.0}}) is None


def test_the_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(4)

    def draw(start_s: float, step_s: float) -> list[dict[str, Any]]:
        noise = np.exp(0.05 * rng.standard_normal((5, 2)))
        return [record(start_s * a, step_s * b) for a, b in noise.tolist()]

    found = [break_even(draw(60.0, 0.1), draw(10.0, 0.2)) for _ in range(2000)]
    held = [one.low <= 500 <= one.high for one in found if one.low is not None and one.high is not None]
    assert len(held) == len(found)
    assert 0.93 <= sum(held) / len(held) <= 0.985, "on the wide side: as sure as the smallest sample allows"


def test_no_interval_where_the_steps_may_be_equal() -> None:
    noisy = [record(60.0, 0.19 * math.exp(x)) for x in (-0.1, 0.0, 0.1)]
    found = break_even(noisy, [record(10.0, 0.2)] * 3)
    assert found.steps is not None and found.low is None and found.high is None


def costly(platform: str, devices: int, **changed: Any) -> dict[str, Any]:
    """2 windows of 10 steps of 50 items, half a second each: 1000 items/s."""
    return {
        "cell": {"platform": platform, "devices": devices}, "windows": [{"steps": 10, "seconds": 0.5}] * 2,
        "items_per_step": 50, "price_per_hour": 3.6, "energy_j": {"total": 2000.0, "idle_w": None, "source": "x"},
    } | changed  # fmt: skip


def value(name: str, found: dict[str, Any]) -> float | None:
    return next(row.value for row in metrics.METRICS if row.name == name)(found)


@pytest.mark.parametrize(("platform", "devices", "price"), [("cuda", 1, 1.0), ("cuda", 4, 4.0), ("cpu", 8, 1.0)])
def test_a_million_items_cost_the_hours_of_all_devices(platform: str, devices: int, price: float) -> None:
    """3.6 an hour is 0.001 a second, and a million items take 1000 s; emulated devices are one machine."""
    assert value("price_per_million", costly(platform, devices)) == pytest.approx(price)


def test_energy_is_that_of_the_items_of_the_windows() -> None:
    assert value("joules_per_item", costly("cuda", 4)) == 2.0


def test_what_is_missing_has_no_cost() -> None:
    for changed in ({"energy_j": None}, {"energy_j": {"total": None}}, {"windows": None}, {"windows": []}):
        assert value("joules_per_item", costly("cuda", 1, **changed)) is None
    for changed in ({"price_per_hour": None}, {"windows": None}):
        assert value("price_per_million", costly("cuda", 1, **changed)) is None
