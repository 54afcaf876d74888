"""The statistics against known truth: simulated runs whose true ratio, trend or noise is given.

Seeds are fixed, so a run that passes passes again. Bounds of 93 to 97 % are wide against the simulations' own
uncertainty of 0.3 % (4000 each). Under log-normal noise intervals must hold the truth that often; under noise as it was
measured (`benchmarks/repeats.py`), where something else hits single processes, at least that often, for what a cell
takes when it is not hit.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import stats
from bench.stats import anomalies
from bench.stats.compare import compare
from benchmarks import repeats
from benchmarks.repeats import BUSY, QUIET, Noise

RUNS = 4000
NORMAL = Noise(process=0.05, round=0.0)
SKEWED = Noise(process=0.02, round=0.0, hit_share=0.05, hit=math.log(2))  # one process in twenty takes twice as long
TRUTH = 1.1  # NEW over BASE


def share(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


def rounds(logs: NDArray[np.float64]) -> dict[int, float]:
    return dict(enumerate(np.exp(logs).tolist()))


def holds(found: stats.Estimate, truth: float) -> bool:
    assert found.low is not None and found.high is not None
    return found.low <= truth <= found.high


def mean_coverage(logs: NDArray[np.float64], truth: float) -> float:
    return share([holds(stats.geometric_mean(row), truth) for row in np.exp(logs).tolist()])


def ratio_coverage(new: NDArray[np.float64], base: NDArray[np.float64], method: str) -> float:
    """How often the interval of the ratio holds `TRUTH`; rounds are shared where the method is `paired`."""
    hits: list[bool] = []
    for ours, theirs in zip(new, base, strict=True):
        other = {(n, "other run") if method == "welch" else n: value for n, value in rounds(theirs).items()}
        found = compare({n: TRUTH * value for n, value in rounds(ours).items()}, other)
        assert found.method == method and found.low is not None and found.high is not None
        hits.append(found.low <= TRUTH <= found.high)
    return share(hits)


def most(noise: Noise) -> float:
    """Intervals may hold the truth more often where hits make them wide: of what was hit too seldom to count."""
    return 0.99 if noise.hit_share else 0.97


NOISES = pytest.mark.parametrize("noise", [NORMAL, QUIET, BUSY], ids=["normal", "quiet", "busy"])
REPEATS = pytest.mark.parametrize("count", [3, 5, 10])


@NOISES
@REPEATS
def test_the_mean_is_in_its_interval(noise: Noise, count: int) -> None:
    logs = noise.draw(np.random.default_rng(count), 1, count, RUNS)[:, 0]
    assert 0.93 <= mean_coverage(logs, 1.0) <= most(noise)


@NOISES
@REPEATS
def test_a_paired_ratio_is_in_its_interval(noise: Noise, count: int) -> None:
    new, base = np.moveaxis(noise.draw(np.random.default_rng(count), 2, count, RUNS), 1, 0)
    assert 0.93 <= ratio_coverage(new, base, "paired") <= most(noise)


@NOISES
@REPEATS
def test_a_ratio_between_runs_is_in_its_interval(noise: Noise, count: int) -> None:
    rng = np.random.default_rng(count)
    new, base = (noise.draw(rng, 1, count, RUNS)[:, 0] for _ in range(2))
    assert 0.93 <= ratio_coverage(new, base, "welch") <= most(noise)


@pytest.mark.parametrize(("count", "least"), [(3, 0.92), (5, 0.91), (10, 0.87)])
def test_a_mean_that_counts_hits_is_less_often_in_its_interval(count: int, least: float) -> None:
    """Most samples hold fewer hits than their share: the more repeats, the less room is left for those not seen."""
    logs = QUIET.draw(np.random.default_rng(count), 1, count, RUNS)[:, 0]
    assert least <= mean_coverage(logs, math.exp(QUIET.mean)) < 0.95


def test_where_the_mean_is_not_in_its_interval() -> None:
    """Rare large spikes: most sets of three hold none, and lie below a mean that counts them. Ratios are spared.

    The difference of two equally hit cells is symmetric: then the interval errs on the wide side.
    """
    logs = SKEWED.draw(np.random.default_rng(0), 2, 3, RUNS)
    assert mean_coverage(logs[:, 0], math.exp(SKEWED.mean)) < 0.80
    assert ratio_coverage(logs[:, 0], logs[:, 1], "paired") >= 0.93


def test_slow_stretches_spare_pairs_alone() -> None:
    """Where a round is like the one before it, a run has seen less of the machine than its repeats say."""
    rng = np.random.default_rng(0)
    stretch = np.zeros((RUNS, 1, 10))
    state = rng.standard_normal((RUNS, 1))
    for one in range(10):
        state = 0.7 * state + math.sqrt(1 - 0.7**2) * rng.standard_normal((RUNS, 1))
        stretch[:, :, one] = 0.1 * state
    logs = stretch + 0.02 * rng.standard_normal((RUNS, 2, 10))
    assert mean_coverage(logs[:, 0], 1.0) < 0.80
    assert ratio_coverage(logs[: RUNS // 2, 0], logs[RUNS // 2 :, 1], "welch") < 0.80
    assert 0.93 <= ratio_coverage(logs[:, 0], logs[:, 1], "paired") <= 0.97


@pytest.mark.parametrize("noise", [QUIET, BUSY], ids=["quiet", "busy"])
def test_equal_cells_are_named_in_one_run_of_twenty(noise: Noise) -> None:
    """A hundred cells against themselves: Holm's correction holds the rate for the table as a whole."""
    runs = 1000
    rng = np.random.default_rng(5)
    named: list[bool] = []
    for _ in range(runs):
        new, base = (noise.draw(rng, 100, 5, 1)[0] for _ in range(2))
        named.append(min(p for p in stats.holm(repeats.p_paired(new, base).tolist()) if p is not None) < 0.05)
    assert share(named) <= 0.05


def test_the_simulations_formulas_are_the_programs() -> None:
    new, base = np.moveaxis(BUSY.draw(np.random.default_rng(1), 2, 6, 50), 1, 0)
    welch = [{("other", n): value for n, value in rounds(row).items()} for row in base]
    ours = [compare(rounds(a), rounds(b)).p for a, b in zip(new, base, strict=True)]
    assert ours == pytest.approx(repeats.p_paired(new, base).tolist())
    ours = [compare(rounds(a), b).p for a, b in zip(new, welch, strict=True)]
    assert ours == pytest.approx(repeats.p_welch(new, base).tolist())


# Repeats that find a slow-down of 10 % in 80 % of runs: alone, and as one of 9, 18 and 100 cells.
NEEDED = [
    (QUIET, "paired", (5, 7, 8, 10)),
    (QUIET, "welch", (5, 7, 8, 9)),
    (BUSY, "paired", (11, 18, 20, 26)),
    (BUSY, "welch", (28, 46, 53, 66)),
]


@pytest.mark.parametrize(("noise", "method", "needed"), NEEDED)
def test_a_slow_down_is_found(noise: Noise, method: str, needed: tuple[int, ...]) -> None:
    """With other seeds than the search's, so one repeat more is allowed; and two thirds of the repeats do not do."""
    for cells, count in zip(repeats.TABLES, needed, strict=True):
        p = repeats.p_values(noise, count + 1, method, repeats.SLOWER, 20_000, seed=1000 + count)
        assert (p <= 0.05 / cells).mean() >= repeats.POWER
        if count > 5:
            p = repeats.p_values(noise, count * 2 // 3, method, repeats.SLOWER, 20_000, seed=1000 + count)
            assert (p <= 0.05 / cells).mean() < repeats.POWER


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0])
def test_an_interval_with_a_target_is_as_sure_as_it_says(ratio: float) -> None:
    """Noise as a multiple of the target; the program's own rule."""
    held, after = repeats.stopped_intervals(0.02 * ratio, 0.02, stats.TARGET_REPEATS, 20, 20_000, seed=8)
    assert 0.93 <= held <= 0.97
    assert after.min() >= stats.TARGET_REPEATS
    assert ratio > 1.0 or after.mean() < 9


def test_an_earlier_end_would_not_be_as_sure() -> None:
    held, _ = repeats.stopped_intervals(0.04, 0.02, 3, 20, 20_000, seed=8)
    assert held < 0.92


def test_the_simulated_rule_is_the_programs() -> None:
    logs = 0.03 * np.random.default_rng(3).standard_normal((100, 20))
    counts = range(stats.TARGET_REPEATS, 20)
    ours = [
        next((n for n in counts if stats.enough(stats.geometric_mean(row[:n]), 0.02)), 20)
        for row in np.exp(logs).tolist()
    ]
    assert repeats.stops(logs, 0.02, stats.TARGET_REPEATS, 20).tolist() == ours
    assert len(set(ours)) > 5


Check = Callable[[list[float]], anomalies.Anomaly | None]
CHECKS = pytest.mark.parametrize("check", [anomalies.drift, anomalies.levels, anomalies.outlier])


def alarms(check: Check, steps_s: NDArray[np.float64]) -> float:
    return share([check(row) is not None for row in steps_s.tolist()])


@CHECKS
@pytest.mark.parametrize(("count", "noise"), [(5, 0.1), (6, 0.1), (7, 0.02), (10, 0.1), (20, 0.1), (33, 0.1)])
def test_quiet_windows_raise_no_alarm(check: Check, count: int, noise: float) -> None:
    """At a noise of 10 % no alarm is held back for being small, so this is the worst case."""
    quiet = np.exp(noise * np.random.default_rng(count).standard_normal((2000, count)))
    assert alarms(check, quiet) <= 0.02


@CHECKS
@pytest.mark.parametrize("count", [8, 10, 20])
def test_odd_windows_raise_one(check: Check, count: int) -> None:
    """At a noise of 1 %: growth by a tenth, every other window a tenth slower, one window a third slower."""
    shape: dict[Check, NDArray[np.float64]] = {
        anomalies.drift: np.linspace(0, 0.1, count),
        anomalies.levels: 0.1 * (np.arange(count) % 2),
        anomalies.outlier: 0.3 * (np.arange(count) == 1),
    }
    odd = np.exp(shape[check] + 0.01 * np.random.default_rng(count).standard_normal((300, count)))
    assert alarms(check, odd) >= 0.8


@pytest.mark.parametrize("count", [3, 5, 10])
def test_quiet_repeats_raise_no_alarm_and_an_odd_one_does(count: int) -> None:
    quiet = np.exp(0.05 * np.random.default_rng(count).standard_normal((RUNS, count)))
    assert share([anomalies.apart(dict(enumerate(row))) is not None for row in quiet.tolist()]) <= 0.02
    odd = np.exp(0.01 * np.random.default_rng(count).standard_normal((300, count)) + 0.3 * (np.arange(count) == 1))
    found = share([anomalies.apart(dict(enumerate(row))) is not None for row in odd.tolist()])
    assert found >= (0.8 if count >= 5 else 0.05), "with three repeats, only where the other two nearly agree"
