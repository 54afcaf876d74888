"""Two cells compared: the ratio of their values, how sure it is, and the smallest difference that would have shown."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from bench.stats import CONFIDENCE, MIN_REPEATS, moments, satterthwaite, t_quantile, t_shift, t_two_sided
from bench.stats.family import Family, Values, fit

LEVEL = 0.05  # of a table: the probability that it names anything where nothing differs
POWER = 0.8  # with which the smallest visible difference would have been found
MARGIN = 0.01  # within ± this share two cells count as the same
Verdict = Literal["faster", "slower", "same", "undecided"]
Side = tuple[Family, str]  # a cell by name, and the family that it stands in


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """NEW over BASE as a ratio with its interval; without a method there is neither interval nor p value."""

    ratio: float
    low: float | None
    high: float | None
    p: float | None  # of the hypothesis that the ratio is 1, two-sided, for this comparison alone
    method: Literal["paired", "welch"] | None  # None: too few repeats for either
    shared: int  # rounds that both have
    counts: tuple[int, int]  # repeats of NEW and of BASE
    error: float | None  # standard error of the ratio's logarithm
    freedom: float | None  # its degrees of freedom


def compare(new: Values, base: Values) -> Comparison:
    """Compare values by round of two cells that have no neighbours: Student's and Welch's t.

    Rounds are shared where their keys are equal. Round 3 of one run is not round 3 of another: give keys that hold
    the run, as in ("monday", 3). Over `MIN_REPEATS` shared rounds the two are paired, else told apart as two samples.

    Raises:
        ValueError: no values on one side, or one that is not above zero.
    """
    shared = {key for key in new if key in base}
    if len(shared) >= MIN_REPEATS:
        sides = {name: {key: of[key] for key in new if key in shared} for name, of in (("new", new), ("base", base))}
        both = fit(sides)
        return replace(compare_cells((both, "new"), (both, "base")), counts=(len(new), len(base)))
    return compare_cells((fit({"new": new}), "new"), (fit({"base": base}), "base"))


def compare_cells(new: Side, base: Side) -> Comparison:
    """Compare two cells, each with the family that tells how it scatters.

    Within a family they are paired over shared rounds if there are `MIN_REPEATS` of them: what slows a whole round
    down cancels. Without pairs the variances of two estimates add up. Then whatever moved the machine between two
    runs is in the ratio, and no interval can tell.
    Source of the latter: B. L. Welch, "The generalization of 'Student's' problem …", Biometrika 34 (1947).

    Raises:
        ValueError: no values on one side, or one that is not above zero.
    """
    (family, name), (other, base_name) = new, base
    ours, theirs = family.cells[name], other.cells[base_name]
    rounds, counts = [key for key in ours if key in theirs], (len(ours), len(theirs))
    pair = family.difference(name, base_name) if family is other else None
    if pair and len(rounds) >= MIN_REPEATS:
        count, mean, _ = moments([ours[key] / theirs[key] for key in rounds])
        return _judge(mean, math.sqrt(pair[0] / count), pair[1], "paired", count, counts)
    one, two = family.estimate(name), other.estimate(base_name)
    mean = math.log(one.mean / two.mean)
    if one.error is not None and two.error is not None and one.freedom and two.freedom:
        freedom = satterthwaite([(one.error**2, one.freedom), (two.error**2, two.freedom)])
        return _judge(mean, math.hypot(one.error, two.error), freedom, "welch", len(rounds), counts)
    mean = moments([ours[key] / theirs[key] for key in rounds])[1] if rounds else mean
    return Comparison(
        ratio=math.exp(mean), low=None, high=None, p=None, method=None,
        shared=len(rounds), counts=counts, error=None, freedom=None,
    )  # fmt: skip


def _judge(
    mean: float, error: float, freedom: float, method: Literal["paired", "welch"], shared: int, counts: tuple[int, int]
) -> Comparison:
    """The comparison whose logarithm has this mean and error; without any noise p is 0, or 1 at a ratio of 1."""
    half = t_quantile(0.5 + CONFIDENCE / 2, freedom) * error
    p = t_two_sided(mean / error, freedom) if error else float(mean == 0)
    return Comparison(
        ratio=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half), p=p, method=method,
        shared=shared, counts=counts, error=error, freedom=freedom,
    )  # fmt: skip


def smallest_visible(found: Comparison, tests: int = 1, power: float = POWER) -> float | None:
    """The difference that would have been found with a probability of `power`, as a share: 0.04 is 4 % and more.

    exp(δ · standard error) − 1, where a t variable shifted by δ (noncentral t) passes the two-sided quantile at
    `LEVEL` / `tests` with that probability; the other side's share is below 1e-5. `tests` is how many comparisons
    the table holds: Holm's correction asks that much of the first that it names. The noise is taken as observed,
    so this is an estimate itself. None where there is no interval.
    """
    if found.error is None or found.freedom is None:
        return None
    quantile = t_quantile(1 - LEVEL / tests / 2, found.freedom)
    return math.expm1(t_shift(quantile, found.freedom, power) * found.error)


def verdict(
    found: Comparison, *, better: Literal["higher", "lower"], p: float | None = None, margin: float = MARGIN
) -> Verdict:
    """NEW against BASE in a word.

    `same` by equivalence: the whole interval lies within 1 / (1 + margin) and 1 + margin, even if it leaves out 1.
    Else `faster` or `slower` where p is below `LEVEL`, and `undecided` where it is not: an interval around 1 that is
    wide says nothing.

    Args:
        found: the comparison.
        better: which direction of the metric is faster: `lower` for times, `higher` for rates.
        p: the p value adjusted for the table that the comparison stands in; its own if there is no table.
        margin: the share up to which a difference does not matter.
    """
    p = found.p if p is None else p
    if found.low is None or found.high is None or p is None:
        return "undecided"
    if found.low >= 1 / (1 + margin) and found.high <= 1 + margin:
        return "same"
    if p >= LEVEL:
        return "undecided"
    return "faster" if (found.ratio < 1) == (better == "lower") else "slower"
