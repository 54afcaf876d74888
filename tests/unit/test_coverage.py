"""Small runs of benchmarks/coverage.py: intervals hold the truth, equal cells stay unnamed, slow ones are found.

Shares of so many runs are known to three standard errors of a binomial; the bounds are wider by that.
"""

import math

import numpy as np
import pytest

from bench import stats
from bench.stats.compare import compare_cells
from bench.stats.family import fit
from benchmarks import coverage
from benchmarks.series import FOLDER, QUIET, Made, Series, load, recorded

RUNS = 600
SERIES = {one.name: one for one in recorded()}
TURNS: list[Series | Made] = [QUIET, *(one for one in SERIES.values() if one.in_turn)]
NOISES = pytest.mark.parametrize("noise", TURNS, ids=[one.name for one in TURNS])


def error(share: float, count: int) -> float:
    return 3 * math.sqrt(share * (1 - share) / count)


@NOISES
@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_intervals_hold_the_truth_and_equal_cells_stay_unnamed(noise: Series | Made, spread: float) -> None:
    logs, windows = coverage.runs(noise, 3, 20, RUNS, seed=1, spread=spread)
    found = coverage.found(coverage.moderated, logs, windows)
    rough = error(0.95, RUNS)  # the cells of a run are not independent: as if there were one
    assert 0.93 - rough <= found.holds <= 0.97 + rough
    assert found.false <= 0.05 + error(0.05, RUNS)


@NOISES
def test_means_hold_the_truth(noise: Series | Made) -> None:
    logs, windows = coverage.runs(noise, 3, 20, RUNS, seed=2)
    assert coverage.means_held(logs, windows, coverage.truth_of(noise, 20)) >= 0.93 - error(0.95, RUNS)


def test_a_slow_cell_is_found_where_the_plain_t_does_not() -> None:
    logs, windows = coverage.runs(QUIET, 3, 20, RUNS, seed=3)
    ours, plain = (coverage.found(method, logs, windows) for method in (coverage.moderated, coverage.plain))
    assert ours.power - error(0.8, RUNS) >= 0.8 > 0.5 > plain.power
    assert ours.half_width < 0.7 * plain.half_width


def test_the_limit_on_neighbours_is_needed() -> None:
    """Processes of one cell scatter three times as much, and its windows do not show it."""
    rng = np.random.default_rng(4)
    scale = np.where(np.arange(18) % 9 == 0, 3.0, 1.0)[:, None]
    logs, windows = 0.03 * scale * rng.standard_normal((3000, 18, 3)), np.full((3000, 18), 1e-4)
    limited, free = (coverage.found(lambda y, w, m=m: coverage.moderated(y, w, m), logs, windows) for m in (4.0, 1e6))
    assert limited.false <= 0.05 + error(0.05, 3000) < free.false


@pytest.mark.parametrize("rounds", [3, 5])
def test_the_simulations_formulas_are_the_programs(rounds: int) -> None:
    noise = SERIES["epyc-zen3-interleaved-2x30"]
    logs, windows = coverage.runs(noise, rounds, 10, 25, seed=5, spread=3.0, cells=3)
    difference, errors, freedom = coverage.moderated(logs, windows)
    means, halves = coverage.estimates(logs, windows)
    for run in range(25):
        cells = {str(n): dict(enumerate(np.exp(row).tolist())) for n, row in enumerate(logs[run])}
        family = fit(cells, {str(n): float(one) for n, one in enumerate(windows[run])})
        told = [compare_cells((family, str(n + 3)), (family, str(n))) for n in range(3)]
        assert [math.log(one.ratio) for one in told] == pytest.approx(difference[run])
        assert [one.error for one in told] == pytest.approx(errors[run])
        assert [one.freedom for one in told] == pytest.approx(freedom[run])
        own = [family.estimate(str(n)) for n in range(6)]
        assert [math.log(one.mean) for one in own] == pytest.approx(means[run])
        assert [math.log1p(one.half_width or 0.0) for one in own] == pytest.approx(halves[run])


def test_the_middles_are_the_programs() -> None:
    rows = np.random.default_rng(6).standard_normal((20, 13))
    logs, variances = coverage.middles(rows)
    found = [stats.middle(np.exp(row).tolist()) for row in rows]
    assert [one.log for one in found] == pytest.approx(logs)
    assert [one.variance for one in found] == pytest.approx(variances)


def test_series_are_whole() -> None:
    assert len(SERIES) >= 5 and {path.stem for path in FOLDER.glob("*.json")} == set(SERIES)
    for one in SERIES.values():
        assert one.noise in coverage.ROUND_SPREAD and abs(one.pool.mean()) < 0.01
        assert load(FOLDER / f"{one.name}.json").pool.shape == one.pool.shape
        drawn = one.draw(np.random.default_rng(0), (4000,), one.pool.shape[1])
        assert drawn.mean(1).std() == pytest.approx(one.pool.mean(1).std(), rel=0.1), "whole processes are drawn"
