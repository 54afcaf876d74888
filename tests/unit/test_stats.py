"""Estimates against a textbook case and against known truth."""

import math
import random

import numpy as np
import pytest

from bench import stats
from bench.stats import allotment


def test_geometric_mean_and_interval_by_hand() -> None:
    """Logs 0, 1, 2: mean 1, standard deviation 1, t(0.975; 2) = 4.302653."""
    found = stats.geometric_mean([1.0, math.e, math.e**2])
    half = 4.302652729911275 / math.sqrt(3)
    assert found.mean == pytest.approx(math.e)
    assert found.low == pytest.approx(math.exp(1 - half))
    assert found.high == pytest.approx(math.exp(1 + half))
    assert found.half_width == pytest.approx(math.expm1(half))


@pytest.mark.parametrize("values", [[2.0], [2.0, 2.0]])
def test_no_interval_below_three(values: list[float]) -> None:
    found = stats.geometric_mean(values)
    assert found.mean == pytest.approx(2.0) and found.low is found.high is found.half_width is None


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [-1.0]])
def test_values_must_be_above_zero(values: list[float]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        stats.geometric_mean(values)


@pytest.mark.parametrize("repeats", [3, 5, 10])
def test_interval_covers_as_often_as_it_says(repeats: int) -> None:
    rng = np.random.default_rng(0)
    draws = np.exp(0.05 * rng.standard_normal((4000, repeats)))
    estimates = [stats.geometric_mean(row.tolist()) for row in draws]
    covered = sum(found.low <= 1.0 <= found.high for found in estimates)  # type: ignore[operator]
    assert 0.93 < covered / len(estimates) < 0.97


def test_holm_by_hand() -> None:
    """Rising 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1; 0.04 is lifted to its forerunner's 0.06."""
    assert stats.holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert stats.holm([0.7, 0.6]) == [1.0, 1.0]
    assert stats.holm([None]) == [None] and stats.holm([]) == []


def test_enough_repeats() -> None:
    """Logs ± 0.01 in turn: eight of them have s = 0.01·√(8/7) and a half width of t(0.975; 7)·s/√8 = 0.89 %."""
    values = [math.exp(0.01 * (-1) ** n) for n in range(20)]
    of = {count: stats.geometric_mean(values[:count]) for count in (2, 7, 8, 20)}
    assert stats.enough(of[8], 0.009)
    assert not stats.enough(of[8], 0.0089)
    assert not stats.enough(of[7], 0.5), "never before eight"
    assert stats.enough(of[20], 0.0049)
    assert not stats.enough(of[2], 0.5)


def test_shift_of_the_noncentral_t_by_quadrature() -> None:
    """P(Z + δ > q·√(χ²/ν)) by summing over the χ² distribution is the power asked for."""
    from scipy.stats import chi2, norm

    for freedom, level in ((2, 0.05), (2, 0.0005), (4, 0.05), (9, 0.05 / 18), (29, 0.05)):
        quantile = stats.t_quantile(1 - level / 2, freedom)
        shift = stats.t_shift(quantile, freedom, 0.8)
        middles = chi2.ppf((np.arange(20_000) + 0.5) / 20_000, freedom)
        power = norm.sf(quantile * np.sqrt(middles / freedom) - shift).mean()
        assert power == pytest.approx(0.8, abs=2e-4)


def test_what_visits_do_not_explain_is_the_processes_own() -> None:
    draw = random.Random("components")
    cells = [
        [[apart + draw.gauss(0, 0.1) for _ in range(20)] for apart in (draw.gauss(0, 0.05) for _ in range(3))]
        for _ in range(200)
    ]
    components = allotment.components(cells)
    assert components
    assert components == (pytest.approx(0.05**2, rel=0.25), pytest.approx(0.1**2, rel=0.05))
    assert allotment.components([[[0.0, 0.1]]]) is None, "one process tells nothing of others"
