"""Estimates of time, on a clock of the test's own and from planted jobs."""

import pytest

from bench import pace
from bench.pace import Took


@pytest.mark.parametrize("call_s", [1e-5, 1e-3, 0.05, 2.0])
def test_the_rate_is_that_of_the_fastest_call_on_any_machine(call_s: float) -> None:
    """The first call takes ten times as long, and each third twice."""
    now, calls = [0.0], [0]

    def call() -> None:
        slow = 10.0 if calls[0] == 0 else 2.0 if calls[0] % 3 == 2 else 1.0
        now[0], calls[0] = now[0] + slow * call_s, calls[0] + 1

    assert pace.best_rate(call, 100.0, lambda: now[0]) == pytest.approx(100.0 / call_s)
    assert now[0] <= 10 * call_s + pace.BUDGET_S + 2 * call_s


def test_a_real_product_has_a_rate() -> None:
    assert 1e7 < pace.step_flops_per_s() < 1e15


def test_nothing_that_has_ended_is_what_was_assumed() -> None:
    assert pace.pace([]) == 1.0
    assert pace.left_s([("a", 2.0), ("b", 3.0)], []) == 5.0


@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
def test_a_machine_ten_times_faster_or_slower_scales_what_is_ahead(factor: float) -> None:
    done = [Took(kind="a", assumed_s=2.0, seconds=2.0 * factor), Took(kind="b", assumed_s=8.0, seconds=8.0 * factor)]
    assert pace.left_s([("c", 5.0), ("d", 1.0)], done) == pytest.approx(6.0 * factor)


def test_a_kind_that_was_done_takes_its_median_and_not_what_was_assumed() -> None:
    """Of `a` one job was disturbed; `b` was not done, and all together took three times as long as assumed."""
    done = [Took(kind="a", assumed_s=1.0, seconds=seconds) for seconds in (1.0, 7.0, 1.0)]
    assert pace.left_s([("a", 1.0), ("b", 2.0)], done) == pytest.approx(1.0 + 3.0 * 2.0)
