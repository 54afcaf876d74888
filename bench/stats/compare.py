"""Two cells compared: the ratio of their values, how sure it is, and the smallest difference that would have shown."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.stats import CONFIDENCE, MIN_REPEATS, moments, t_quantile, t_shift, t_two_sided

LEVEL = 0.05  # of a table: the probability that it names anything where nothing differs
POWER = 0.8  # with which the smallest visible difference would have been found
MARGIN = 0.01  # within ± this share two cells count as the same
Verdict = Literal["faster", "slower", "same", "undecided"]


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


def compare(new: Mapping[Any, float], base: Mapping[Any, float]) -> Comparison:
    """Compare values by round: paired over shared rounds if there are `MIN_REPEATS` of them, else by Welch's t.

    Rounds are shared where their keys are equal. Round 3 of one run is not round 3 of another: give keys that hold
    the run, as in ("monday", 3). In a pair, what slows a whole round down cancels: the interval is Student's on the
    differences of logarithms. Without pairs the variances add up, with Welch's degrees of freedom. Then whatever
    moved the machine between two runs is in the ratio, and no interval can tell.
    Source: B. L. Welch, "The generalization of 'Student's' problem …", Biometrika 34 (1947).

    Raises:
        ValueError: no values on one side, or one that is not above zero.
    """
    rounds = [key for key in new if key in base]
    counts = (len(new), len(base))
    count_n, mean_n, variance_n = moments(list(new.values()))
    count_b, mean_b, variance_b = moments(list(base.values()))
    if len(rounds) >= MIN_REPEATS:
        count, mean, variance = moments([new[key] / base[key] for key in rounds])
        return _judge(mean, math.sqrt(variance / count), count - 1.0, "paired", len(rounds), counts)
    if min(counts) >= MIN_REPEATS:
        part_n, part_b = variance_n / count_n, variance_b / count_b
        error = math.sqrt(part_n + part_b)
        spread = part_n**2 / (count_n - 1) + part_b**2 / (count_b - 1)
        freedom = (part_n + part_b) ** 2 / spread if spread else count_n + count_b - 2.0
        return _judge(mean_n - mean_b, error, freedom, "welch", len(rounds), counts)
    mean = moments([new[key] / base[key] for key in rounds])[1] if rounds else mean_n - mean_b
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
