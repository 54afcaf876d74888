"""Statistics, whatever the values: what any reader of an interval or a p value takes for granted."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import stats
from bench.stats.compare import compare, smallest_visible, verdict

above_zero = st.floats(1e-9, 1e9)
values = st.lists(above_zero, min_size=1, max_size=12)
rounds = st.dictionaries(st.integers(0, 8), above_zero, min_size=1)
apart = st.dictionaries(st.integers(100, 108), above_zero, min_size=1)  # rounds of another run
p_values = st.lists(st.none() | st.floats(0, 1), max_size=12)
close: Any = pytest.approx


@given(values)
def test_an_interval_holds_its_mean(found: list[float]) -> None:
    told = stats.geometric_mean(found)
    assert min(found) * (1 - 1e-12) <= told.mean <= max(found) * (1 + 1e-12) and told.count == len(found)
    assert (told.low is None) == (told.high is None) == (len(found) < stats.MIN_REPEATS)
    if told.low is not None and told.high is not None:
        assert 0 <= told.low <= told.mean <= told.high
        assert told.low == 0 or math.isinf(told.high) or told.low * told.high == close(told.mean**2, rel=1e-6)


@given(values, st.floats(0.5, 0.9), st.floats(0.901, 0.999))
def test_more_confidence_is_a_wider_interval(found: list[float], less: float, more: float) -> None:
    narrow, wide = (stats.geometric_mean(found, confidence) for confidence in (less, more))
    if narrow.low is not None and wide.low is not None and narrow.high is not None and wide.high is not None:
        assert wide.low <= narrow.low and narrow.high <= wide.high


@given(values, st.floats(1e-3, 1e3))
def test_another_unit_changes_no_ratio(found: list[float], factor: float) -> None:
    one, other = stats.geometric_mean(found), stats.geometric_mean([factor * value for value in found])
    assert other.mean == close(factor * one.mean, rel=1e-9)
    if one.low and other.low:
        assert other.low == close(factor * one.low, rel=1e-6)


@given(rounds, rounds | apart, st.floats(1e-3, 1e3))
def test_another_unit_changes_no_comparison(new: dict[int, float], base: dict[int, float], factor: float) -> None:
    one = compare(new, base)
    other = compare({k: factor * v for k, v in new.items()}, {k: factor * v for k, v in base.items()})
    assert other.ratio == close(one.ratio, rel=1e-9)
    assert (other.method, other.counts, other.shared) == (one.method, one.counts, one.shared)
    if one.p is not None and one.error and one.error > 1e-9:
        assert other.p == close(one.p, abs=1e-6) and other.freedom == close(one.freedom, rel=1e-6)


@given(values, st.integers(0, 99))
def test_the_order_of_repeats_never_matters(found: list[float], seed: int) -> None:
    shuffled = random.Random(seed).sample(found, len(found))
    assert stats.geometric_mean(shuffled) == stats.geometric_mean(found)


@given(rounds, rounds | apart, st.integers(0, 99))
def test_the_order_of_rounds_never_matters(new: dict[int, float], base: dict[int, float], seed: int) -> None:
    shuffled = [dict(random.Random(seed).sample(list(side.items()), len(side))) for side in (new, base)]
    assert compare(*shuffled) == compare(new, base)


@given(rounds, rounds | apart)
def test_sides_exchanged_turn_the_ratio_over(new: dict[int, float], base: dict[int, float]) -> None:
    one, other = compare(new, base), compare(base, new)
    assert one.ratio * other.ratio == close(1, rel=1e-9)
    assert (one.method, one.shared, one.counts) == (other.method, other.shared, other.counts[::-1])
    if one.low is not None and one.high is not None and other.low is not None and other.high is not None:
        assert one.low <= one.ratio <= one.high
        assert one.low == 0 or math.isinf(other.high) or one.low * other.high == close(1, rel=1e-6)
        assert one.p == close(other.p, abs=1e-9) and one.freedom == close(other.freedom)
    turned = {"faster": "slower", "slower": "faster"}
    if one.p is None or abs(one.p - 0.05) > 1e-6:
        said = verdict(one, better="lower")
        if said in turned:
            assert verdict(other, better="lower") == turned[said] == verdict(one, better="higher")


@given(rounds)
def test_a_cell_is_no_different_from_itself(found: dict[int, float]) -> None:
    told = compare(found, found)
    assert told.ratio == 1 and told.p in (None, 1)
    assert verdict(told, better="lower") == ("same" if told.method else "undecided")


@given(p_values)
def test_adjusted_p_values_are_never_smaller_nor_out_of_order(found: list[float | None]) -> None:
    adjusted = stats.holm(found)
    assert [p is None for p in adjusted] == [p is None for p in found]
    pairs = sorted((raw, p) for raw, p in zip(found, adjusted, strict=True) if raw is not None and p is not None)
    assert all(raw <= p <= 1 for raw, p in pairs)
    assert [p for _, p in pairs] == sorted(p for _, p in pairs)
    assert not pairs or pairs[0][1] == min(1, pairs[0][0] * len(pairs))


@given(p_values, st.integers(0, 99))
def test_the_order_of_a_table_never_matters(found: list[float | None], seed: int) -> None:
    places = random.Random(seed).sample(range(len(found)), len(found))
    adjusted, shuffled = stats.holm(found), stats.holm([found[place] for place in places])
    assert shuffled == [adjusted[place] for place in places]


@given(p_values, st.floats(0, 1))
def test_one_more_test_names_no_more(found: list[float | None], p: float) -> None:
    before, after = stats.holm(found), stats.holm([*found, p])[:-1]
    assert all(one is None or (other is not None and other >= one) for one, other in zip(before, after, strict=True))


@given(rounds, rounds | apart, st.integers(1, 50))
def test_what_is_visible_grows_with_the_number_of_tests(
    new: dict[int, float], base: dict[int, float], tests: int
) -> None:
    told = compare(new, base)
    if told.error is not None and told.error < 50:  # beyond, the share is past all floats
        alone, among = smallest_visible(told), smallest_visible(told, tests)
        assert alone is not None and among is not None and 0 <= alone <= among * (1 + 1e-9)
