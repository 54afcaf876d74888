"""Statistics over repeats. The unit is the process: one value a repeat, never the samples within one.

Everything is done on logarithms: step times are above zero and their noise multiplies, and on a logarithm
twice as fast and half as fast are equally far.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MIN_REPEATS = 3  # below this there is no interval
TARGET_REPEATS = 8  # below this a target for the interval counts as not reached; see `enough`
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A geometric mean with its interval, in the unit of the values; no interval below `MIN_REPEATS` values."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def half_width(self) -> float | None:
        """Half the interval's width on the logarithm, as a share: 0.02 is read as ± 2 %."""
        return None if self.low is None or self.high is None else math.sqrt(self.high / self.low) - 1.0


def geometric_mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Geometric mean with a Student t interval on the logarithms: exp(m ± t(n − 1) · s / √n).

    Source: W. S. Gosset ("Student"), "The probable error of a mean", Biometrika 6 (1908).

    Raises:
        ValueError: no values, or one that is not above zero.
    """
    count, mean, variance = moments(values)
    if count < MIN_REPEATS:
        return Estimate(mean=math.exp(mean), low=None, high=None, count=count)
    half = t_quantile(0.5 + confidence / 2, count - 1) * math.sqrt(variance / count)
    return Estimate(mean=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half), count=count)


def moments(values: Sequence[float]) -> tuple[int, float, float]:
    """How many values there are, and their logarithms' mean and variance (divisor n − 1; 0 of a single value).

    Raises:
        ValueError: no values, or one that is not above zero.
    """
    if not values or not min(values) > 0:
        raise ValueError("a geometric mean needs values above zero")
    logs = [math.log(value) for value in values]
    count, mean = len(logs), math.fsum(logs) / len(logs)
    return count, mean, math.fsum((log - mean) ** 2 for log in logs) / max(count - 1, 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P values adjusted for how many there are, in the order given; None stays None and does not count.

    With m values in rising order, the i-th becomes max over j ≤ i of min(1, (m − j + 1) · p_j). Naming what is
    below 0.05 then names anything wrongly in at most 5 % of tables, however the values depend on each other.
    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    rising = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    reached = 0.0
    for rank, (p, place) in enumerate(rising):
        reached = max(reached, min(1.0, (len(rising) - rank) * p))
        adjusted[place] = reached
    return adjusted


def enough(values: Sequence[float], target: float, least: int = TARGET_REPEATS) -> bool:
    """Whether the interval of a geometric mean has reached a half width (0.02: ± 2 %), looked at after each repeat.

    An interval that is looked at until it is narrow enough stops too often where chance made it narrow. Simulated
    with normal noise of 0.25 to 10 times the target and caps of 12 to 100, intervals that may stop from 3 repeats on
    hold the truth in 90 to 95 % of cells, from 5 on in 92 to 95 %, from 8 on in 93 to 95 %: so never before
    `TARGET_REPEATS`. The effect: F. J. Anscombe, "Sequential estimation", J. R. Stat. Soc. B 15 (1953).
    """
    if len(values) < max(least, MIN_REPEATS):
        return False
    width = geometric_mean(values).half_width
    return width is not None and width <= target


def t_quantile(share: float, freedom: float) -> float:
    """What a Student t variable with so many degrees of freedom stays below with a probability of `share`."""
    # late: it is larger than all that the runner holds otherwise; it has no stubs
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]

    return float(stdtrit(freedom, share))


def t_two_sided(t: float, freedom: float) -> float:
    """Probability that a Student t variable is further from 0 than t, on either side."""
    from scipy.special import stdtr  # pyright: ignore[reportMissingTypeStubs]

    return 2.0 * float(stdtr(freedom, -abs(t)))


def t_shift(quantile: float, freedom: float, power: float) -> float:
    """The shift that lifts a Student t variable above `quantile` with a probability of `power` (noncentral t)."""
    from scipy.special import nctdtrinc  # pyright: ignore[reportMissingTypeStubs]

    return float(nctdtrinc(freedom, 1.0 - power, quantile))
