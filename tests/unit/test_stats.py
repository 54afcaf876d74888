"""Estimates against a textbook case and against known truth."""

import math

import numpy as np
import pytest

from bench import stats


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
