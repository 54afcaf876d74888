"""Cells estimated together: by hand, against least squares, and where a family tells nothing."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from bench import stats
from bench.stats import moderated
from bench.stats.allotment import visits
from bench.stats.compare import compare, compare_cells
from bench.stats.family import Family, fit, residuals


def made(
    cells: int, rounds: int, seed: int = 0, spread: float = 0.03, of_rounds: float = 0.1
) -> dict[str, dict[int, float]]:
    rng = np.random.default_rng(seed)
    common = of_rounds * rng.standard_normal(rounds)
    return {
        f"cell {n}": {r: math.exp(n + common[r] + spread * rng.standard_normal()) for r in range(rounds)}
        for n in range(cells)
    }


def test_residuals_are_those_of_weighted_least_squares() -> None:
    cells = made(4, 5)
    del cells["cell 1"][2], cells["cell 3"][0]
    logs = {name: {r: math.log(v) for r, v in values.items()} for name, values in cells.items()}
    weights = {name: 1.0 + n for n, name in enumerate(logs)}
    rows = [(n, r, logs[name][r], weights[name]) for n, name in enumerate(logs) for r in logs[name]]
    design = np.array([[float(n == i) for i in range(4)] + [float(r == i) for i in range(5)] for n, r, _, _ in rows])
    roots = np.sqrt([w for *_, w in rows])
    values = np.array([y for _, _, y, _ in rows])
    solution = np.linalg.lstsq(design * roots[:, None], values * roots, rcond=None)[0]
    expected = values - design @ solution
    found = [one for values in residuals(logs, weights).values() for one in values.values()]
    assert found == pytest.approx(expected, abs=1e-10)


def test_degrees_of_freedom_add_up() -> None:
    cells = made(5, 6)
    del cells["cell 1"][2], cells["cell 3"][0]
    found = fit(cells)
    assert found.pooled == 28 - 5 - 6 + 1
    assert math.fsum(one.freedom - found.prior for one in found.own.values()) == pytest.approx(found.pooled)
    assert math.fsum(one.weight for one in found.own.values()) == pytest.approx(1)
    apart = {**cells, **{f"{name} later": {("later", r): v for r, v in of.items()} for name, of in cells.items()}}
    assert fit(apart).pooled == 2 * found.pooled


def test_what_is_slow_for_a_whole_round_cancels_in_ratios() -> None:
    calm, rough = (fit(made(6, 4, of_rounds=one)) for one in (0.0, 0.5))
    one, other = (compare_cells((of, "cell 1"), (of, "cell 0")) for of in (calm, rough))
    assert one.method == other.method == "paired"
    assert other.ratio == pytest.approx(one.ratio) and other.error == pytest.approx(one.error, rel=0.3)
    means = [of.estimate("cell 0").half_width or 0.0 for of in (calm, rough)]
    assert means[1] > 5 * means[0], "a mean holds what rounds do"


def test_neighbours_narrow_an_interval_and_windows_say_whose() -> None:
    cells = made(9, 3, of_rounds=0.0)
    alone, together = compare(cells["cell 1"], cells["cell 0"]), fit(cells)
    told = compare_cells((together, "cell 1"), (together, "cell 0"))
    assert told.freedom and alone.freedom == pytest.approx(2) and told.freedom > 6
    noisy = fit(cells, {name: 25e-4 if name == "cell 1" else 1e-4 for name in cells})
    assert noisy.own["cell 1"].variance > 3 * together.own["cell 1"].variance
    partly = fit(cells, {"cell 1": 25e-4})
    assert partly.own["cell 1"] == together.own["cell 1"], "known of one cell, it is of no use"


def test_two_cells_are_compared_by_students_t_and_one_is_estimated_by_it() -> None:
    cells = made(2, 5)
    both = fit(cells, {"cell 0": 1e-4, "cell 1": 9e-4})
    told = compare_cells((both, "cell 1"), (both, "cell 0"))
    logs = [np.log(list(of.values())) for of in cells.values()]
    assert told.p == pytest.approx(scipy_stats.ttest_rel(logs[1], logs[0]).pvalue)
    for family in (both, fit({"cell 0": cells["cell 0"]})):
        assert family.estimate("cell 0") == stats.geometric_mean(list(cells["cell 0"].values()))


def test_a_steady_cell_stays_steady_beside_a_noisy_one() -> None:
    """A device that repeats to 0.01 % and a processor at 10 %: neither takes the other's interval."""
    cells = made(5, 4, spread=1e-4, of_rounds=0.0) | {"noisy": {0: 1.0, 1: 1.1, 2: 0.9, 3: 1.05}}
    found = fit(cells)
    widths = {name: found.estimate(name).half_width or 0.0 for name in cells}
    assert all(widths[name] < 1e-3 for name in cells if name != "noisy") and widths["noisy"] > 0.05


@pytest.mark.parametrize("count", [1, 2])
def test_few_repeats_have_no_interval_and_disturb_nobody(count: int) -> None:
    cells: dict[str, dict[Any, float]] = dict(made(4, 3))
    more = fit(cells | {"few": dict.fromkeys(range(count), 1.0)})
    assert more.estimate("few").low is None
    assert more.estimate("cell 0") == fit(cells).estimate("cell 0")
    assert compare_cells((more, "few"), (more, "cell 0")).p is None


def test_cells_without_any_noise() -> None:
    found = fit({name: dict.fromkeys(range(3), 1.0 + n) for n, name in enumerate("abcd")})
    told = compare_cells((found, "b"), (found, "a"))
    assert (told.ratio, told.low, told.high, told.p) == (2, 2, 2, 0)
    assert found.estimate("a").half_width == 0


def test_nothing_at_all() -> None:
    found = fit({})
    assert isinstance(found, Family) and not found.own


def test_moderation_by_hand() -> None:
    """Variances 1, 2, 4 of two degrees: their logarithms scatter less than chance has it, so the pool counts fully."""
    found, prior = moderated.moderate([1.0, 2.0, 4.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    assert prior == moderated.MOST_PRIOR
    assert found == pytest.approx([(prior * 7 / 3 + 2 * s) / (prior + 2) for s in (1, 2, 4)])
    twice, _ = moderated.moderate([1.0, 2.0, 8.0], [2.0, 2.0, 2.0], [1.0, 1.0, 2.0])
    assert twice == pytest.approx([found[0], found[1], 2 * found[2]])


def test_a_prior_is_found_again() -> None:
    """Many variances whose truth scatters as the model has it: d₀ of 3 and s₀² of 0.5."""
    rng = np.random.default_rng(1)
    truth = 3 * 0.5 / rng.chisquare(3, 20_000)
    found = moderated.fit_prior((truth * rng.chisquare(4, 20_000) / 4).tolist(), [4.0] * 20_000)
    assert found.freedom == pytest.approx(3, rel=0.05) and found.variance == pytest.approx(0.5, rel=0.05)


def test_where_neighbours_say_nothing() -> None:
    assert moderated.fit_prior([1.0, 1.0], [2.0, 2.0]).freedom == 0, "two residuals are one observation"
    assert moderated.fit_prior([0.0, 0.0, 0.0, 1.0], [2.0] * 4).freedom == 0, "most are exactly zero"
    assert moderated.fit_prior([0.0, 1.0, 1.0, 1.0], [2.0] * 4).freedom < 1, "one zero is offset, and unlike the rest"
    assert moderated.moderate([0.0, 0.0, 0.0, 1.0], [2.0] * 4, [1.0] * 4)[0] == [0, 0, 0, 1]


@pytest.mark.parametrize("value", [1e-8, 1e-3, 0.5, 1.6449, 30.0, 1e8])
def test_the_inverse_of_trigamma(value: float) -> None:
    assert special.polygamma(1, moderated.trigamma_inverse(value)) == pytest.approx(value, rel=1e-5)


def test_degrees_of_freedom_of_sums() -> None:
    assert stats.satterthwaite([(1.0, 5.0), (1.0, 5.0)]) == pytest.approx(10)
    assert stats.satterthwaite([(1.0, 5.0), (0.0, 1.0)]) == pytest.approx(5)
    assert stats.t_mixture([(1.0, 2.0), (0.0, 9.0)]) == pytest.approx(2)
    t = (3 * stats.t_quantile(0.975, 2) + stats.t_quantile(0.975, 9)) / 4
    assert stats.t_quantile(0.975, stats.t_mixture([(3.0, 2.0), (1.0, 9.0)])) == pytest.approx(t)


def test_the_middle_of_a_process() -> None:
    values = [1.0, 1.1, 1.2, 0.9, 50.0, 1.0, 1.3, 0.8, 1.0, 1.1]
    found, logs = stats.middle(values), np.log(values)
    assert found.log == pytest.approx(scipy_stats.trim_mean(logs, 0.2))
    winsorized = scipy_stats.mstats.winsorize(logs, (0.2, 0.2))
    assert found.variance == pytest.approx(np.var(winsorized, ddof=1) * 10 / 36)
    assert stats.middle(values[::-1]) == found
    assert stats.middle([2.0, 8.0]).log == pytest.approx(math.log(4)) and stats.middle([2.0]).variance is None


def test_visits_are_allotted_where_time_buys_most() -> None:
    """By trying: the width for a given time, (c + V·v)·(σ² + τ²/V), is nowhere smaller."""
    best = visits(6.0, 0.35, 0.02**2, 0.15**2)
    assert best == pytest.approx(31.1, abs=0.1)
    assert min(np.linspace(1, 200, 20_000), key=lambda v: (6 + 0.35 * v) * (4e-4 + 0.0225 / v)) == pytest.approx(
        best, rel=1e-3
    )
    assert visits(1.0, 1.0, 1.0, 0.0) == 1 and visits(1.0, 1.0, 0.0, 1.0) == math.inf
    with pytest.raises(ValueError, match="above zero"):
        visits(0.0, 1.0, 1.0, 1.0)
