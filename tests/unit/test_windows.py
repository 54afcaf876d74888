"""Which windows count: by what others took, never by how slow they were."""

import math
from typing import Any

import numpy as np
import pytest

from bench import metrics, windows
from report.charts import noise
from report.frame import frame, rows
from tests.report.samples import make_cell, make_record
from tests.report.test_frame import as_run


def made(*others_s: float, seconds: float = 0.25, cores: int = 2, steps_s: list[float] | None = None) -> dict[str, Any]:
    found = [
        {"steps": 10, "seconds": (steps_s or [])[n] if steps_s else seconds, "foreign_cpu_s": one, "steal_s": 0.0}
        for n, one in enumerate(others_s)
    ]
    return make_record(
        make_cell(), windows=found, threads={"intra": 2, "inter": 1, "affinity": list(range(cores)), "total": 3}
    )


def test_a_fifth_of_the_cores_and_a_tick_on_each() -> None:
    limit = 2 * (0.2 * 0.25 + 0.01)
    record = made(0.0, limit - 1e-6, limit + 1e-6, 0.0)
    assert windows.set_aside(record) == [False, False, True, False]
    assert len(windows.counted(record)) == 3 and len(record["windows"]) == 4, "the record keeps them"
    stolen = {"foreign_cpu_s": 0.06, "steal_s": 0.07}
    both = record | {"windows": [one | (stolen if n == 0 else {}) for n, one in enumerate(record["windows"])]}
    assert windows.set_aside(both)[0], "both kinds add up"


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.25, 2.0])
def test_rounding_sets_no_window_aside(seconds: float) -> None:
    """Others that take a tenth of the cores, counted a tick too many on each core."""
    record = made(*[2 * (0.1 * seconds + windows.TICK_S)] * 4, seconds=seconds)
    assert not any(windows.set_aside(record))


def test_never_more_than_half() -> None:
    half, most = made(9.0, 9.0, 0.0, 0.0), made(9.0, 9.0, 9.0, 0.0)
    assert windows.set_aside(half) == [True, True, False, False] and not windows.busy_throughout(half)
    assert windows.set_aside(most) == [False] * 4 and windows.busy_throughout(most)


@pytest.mark.parametrize("changed", [{"threads": None}, {"windows": None}, {"windows": []}])
def test_what_is_not_known_sets_nothing_aside(changed: dict[str, Any]) -> None:
    record = made(9.0, 0.0, 0.0) | changed
    assert not any(windows.set_aside(record))
    unknown = made(0.0, 0.0) | {"windows": [{"steps": 1, "seconds": 0.1, "foreign_cpu_s": None, "steal_s": None}] * 2}
    assert windows.set_aside(unknown) == [False, False]


def test_a_step_is_told_by_the_windows_that_count() -> None:
    record = made(0.0, 9.0, 0.0, 0.0, steps_s=[0.25, 0.9, 0.25, 0.25])
    assert metrics.step_s(record) == pytest.approx(0.025)
    slow = made(0.0, 0.0, 0.0, 0.0, steps_s=[0.25, 0.9, 0.25, 0.25])
    assert metrics.step_s(slow) == pytest.approx(math.exp(np.log([0.025, 0.09, 0.025, 0.025]).mean())), "slow counts"


def test_the_rule_favours_no_cell() -> None:
    """Two cells, equally fast, one three times as noisy, on cores that others take a part of: the ratio stays 1.

    What others take comes by chance, and slows both as much. A rule that left out slow windows would name the noisier
    cell the faster: it does by 3 %.
    """
    rng = np.random.default_rng(7)
    ours: list[float] = []
    speed: list[float] = []
    for _ in range(400):
        middle: list[float] = []
        fast: list[float] = []
        for noise_of in (0.03, 0.09):
            taken = np.where(rng.random(20) < 0.3, 0.6 * rng.random(20), 0.0)
            logs = math.log(0.25) + noise_of * rng.standard_normal(20) - np.log1p(-taken)
            seconds = np.exp(logs).tolist()
            record = made(*(2 * s * share for s, share in zip(seconds, taken, strict=True)), steps_s=seconds)
            middle.append(float(np.log([one["seconds"] / one["steps"] for one in windows.counted(record)]).mean()))
            fast.append(float(logs[logs <= np.median(logs)].mean()))
        ours.append(middle[1] - middle[0])
        speed.append(fast[1] - fast[0])
    error = np.std(ours) / math.sqrt(len(ours))
    assert abs(np.mean(ours)) < 3 * error < 0.005
    assert np.mean(speed) < -0.02


def test_what_is_set_aside_is_told() -> None:
    records = [made(9.0, 0.0, 0.0), made(9.0, 9.0, 0.0)]
    assert windows.notes(records) == [
        "set aside: 1 of 6 windows, in which others took more than 20 % of the cores",
        "busy throughout: 1 of 2 processes; others took more than 20 % of the cores in most windows: all count",
    ]
    assert windows.notes([made(0.0, 0.0)]) == []
    said = noise.aside(rows(frame([as_run(*records)])))
    assert "1 of 6 windows do not count" in said and "1 of 2 records" in said
    assert noise.aside(rows(frame([as_run(made(0.0, 0.0))]))) == ""
