"""Comparisons against scipy's own tests, and the words for them."""

import math
from dataclasses import replace

import pytest
from scipy import stats as scipy_stats

from bench.stats.compare import Comparison, compare, smallest_visible, verdict

BASE = {0: 1.00, 1: 1.10, 2: 0.95, 3: 1.02}
NEW = {0: 1.07, 1: 1.15, 2: 1.03, 3: 1.06}


def logs(values: dict[int, float]) -> list[float]:
    return [math.log(value) for value in values.values()]


def test_shared_rounds_are_paired() -> None:
    found = compare(NEW, BASE)
    theirs = scipy_stats.ttest_rel(logs(NEW), logs(BASE))
    bounds = theirs.confidence_interval(0.95)
    assert found.method == "paired" and found.shared == 4 and found.counts == (4, 4)
    assert found.p == pytest.approx(theirs.pvalue)
    assert [found.low, found.high] == pytest.approx([math.exp(bounds.low), math.exp(bounds.high)])


@pytest.mark.parametrize("shared", [0, 2])
def test_few_shared_rounds_are_compared_by_welch(shared: int) -> None:
    new = {key if key < shared else ("other run", key): value for key, value in NEW.items()} | {"more": 1.2}
    found = compare(new, BASE)
    theirs = scipy_stats.ttest_ind(logs(new), logs(BASE), equal_var=False)
    bounds = theirs.confidence_interval(0.95)
    assert found.method == "welch" and found.shared == shared and found.counts == (5, 4)
    assert found.p == pytest.approx(theirs.pvalue) and found.freedom == pytest.approx(theirs.df)
    assert [found.low, found.high] == pytest.approx([math.exp(bounds.low), math.exp(bounds.high)])


def test_rounds_that_one_side_lacks_are_left_out() -> None:
    assert compare(NEW | {9: 50.0}, BASE).ratio == pytest.approx(compare(NEW, BASE).ratio)


def test_few_repeats_have_a_ratio_and_nothing_else() -> None:
    found = compare({0: 2.0, 1: 4.0}, {0: 1.0, 1: 1.0, 2: 1.0})
    assert found.ratio == pytest.approx(math.sqrt(8))
    assert found.method is found.low is found.high is found.p is None
    assert verdict(found, better="lower") == "undecided" and smallest_visible(found) is None


def test_without_noise() -> None:
    same, off = (
        compare({0: 1.5, 1: 1.5, 2: 1.5}, {0: 1.5, 1: 1.5, 2: 1.5}),
        compare({0: 2, 1: 2, 2: 2}, dict.fromkeys(range(3), 1)),
    )
    assert (same.ratio, same.low, same.high, same.p) == (1, 1, 1, 1)
    assert off.ratio == pytest.approx(2) and off.p == 0
    assert smallest_visible(off) == 0


def of(ratio: float, error: float, p: float | None = None) -> Comparison:
    """A comparison with 9 degrees of freedom."""
    t = math.log(ratio) / error
    half = 2.262157 * error
    return Comparison(
        ratio=ratio, low=ratio * math.exp(-half), high=ratio * math.exp(half), method="paired", shared=10,
        p=2 * float(scipy_stats.t.sf(abs(t), 9)) if p is None else p, counts=(10, 10), error=error, freedom=9.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ratio", "error", "word"),
    [
        (1.1, 0.01, "slower"), (0.9, 0.01, "faster"), (1.0, 0.001, "same"), (1.005, 0.001, "same"),
        (1.0, 0.02, "undecided"), (1.02, 0.02, "undecided"), (1.02, 0.001, "slower"),
    ],
)  # fmt: skip
def test_words(ratio: float, error: float, word: str) -> None:
    turned = {"faster": "slower", "slower": "faster"}
    assert verdict(of(ratio, error), better="lower") == word
    assert verdict(of(ratio, error), better="higher") == turned.get(word, word)


def test_words_heed_the_table_and_the_margin() -> None:
    found = of(1.03, 0.01)
    assert found.p is not None and found.p < 0.05
    assert verdict(found, better="lower", p=0.2) == "undecided"
    assert verdict(found, better="lower", margin=0.06) == "same"


def test_smallest_visible_difference() -> None:
    """By G*Power's noncentral t: n = 10, two-sided 5 %, power 80 % need an effect of 0.99587 standard deviations."""
    assert smallest_visible(of(1.0, 0.02 / math.sqrt(10))) == pytest.approx(math.expm1(0.99587 * 0.02), rel=1e-3)
    found = of(1.0, 0.02)
    alone, in_table = smallest_visible(found), smallest_visible(found, tests=100)
    assert alone is not None and in_table is not None and in_table > 1.5 * alone
    assert smallest_visible(replace(found, error=0.04)) == pytest.approx(math.expm1(2 * math.log1p(alone)))
