"""Statistics over repeats. The unit is the process: one value a repeat (`middle`), never the samples within one.

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
    error: float | None = None  # standard error of the mean's logarithm
    freedom: float | None = None  # its degrees of freedom

    @property
    def half_width(self) -> float | None:
        """Half the interval's width on the logarithm, as a share: 0.02 is read as ± 2 %."""
        return None if self.low is None or self.high is None else math.sqrt(self.high / self.low) - 1.0


def geometric_mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Geometric mean with a Student t interval on the logarithms: exp(m ± t(n − 1) · s / √n).

    This knows one cell alone. Cells of a run are estimated together: see `bench.stats.family`.
    Source: W. S. Gosset ("Student"), "The probable error of a mean", Biometrika 6 (1908).

    Raises:
        ValueError: no values, or one that is not above zero.
    """
    count, mean, variance = moments(values)
    if count < MIN_REPEATS:
        return Estimate(mean=math.exp(mean), low=None, high=None, count=count)
    return interval(mean, variance / count, count - 1.0, count, confidence)


def interval(mean: float, variance: float, freedom: float, count: int, confidence: float = CONFIDENCE) -> Estimate:
    """The estimate of a mean of logarithms that has this variance with these degrees of freedom."""
    half = t_quantile(0.5 + confidence / 2, freedom) * math.sqrt(variance)
    return Estimate(
        mean=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half), count=count,
        error=math.sqrt(variance), freedom=freedom,
    )  # fmt: skip


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


TRIM = 0.2  # share of a process's windows that is left out on either side


@dataclass(frozen=True, kw_only=True)
class Middle:
    """Where the logarithms of one process's windows lie."""

    log: float
    variance: float | None  # of `log`, from how the windows scatter; None of a single window


def middle(values: Sequence[float]) -> Middle:
    """The mean of logarithms without the smallest and the largest fifth; its variance from the winsorized ones.

    Simulated on recorded noise (benchmarks/coverage.py) it scatters less than the median, and unlike the mean it
    bears windows that something hit. Below five values nothing is left out.
    Source: J. W. Tukey and D. H. McLaughlin, "Less vulnerable confidence and significance procedures for location
    based on a single sample: trimming/winsorization 1", Sankhyā A 25 (1963).

    Raises:
        ValueError: no values, or one that is not above zero.
    """
    count = moments(values)[0]
    logs = sorted(math.log(value) for value in values)
    cut = int(TRIM * count)
    kept = logs[cut : count - cut]
    log = math.fsum(kept) / len(kept)
    if count < 2:
        return Middle(log=log, variance=None)
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    mean = math.fsum(winsorized) / count
    squares = math.fsum((one - mean) ** 2 for one in winsorized)
    return Middle(log=log, variance=squares * count / ((count - 1) * len(kept) ** 2))


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


def enough(found: Estimate, target: float, least: int = TARGET_REPEATS) -> bool:
    """Whether an interval has reached a half width (0.02: ± 2 %), looked at after each repeat.

    An interval that is looked at until it is narrow enough stops too often where chance made it narrow. So never
    before `TARGET_REPEATS`: benchmarks/repeats.py simulates how often the intervals then hold the truth.
    The effect: F. J. Anscombe, "Sequential estimation", J. R. Stat. Soc. B 15 (1953).
    """
    if found.count < max(least, MIN_REPEATS):
        return False
    return found.half_width is not None and found.half_width <= target


def satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of independent variances, each given with its own: (Σ v)² / Σ (v² / f).

    Without any variance it is the sum of the degrees of freedom.
    Source: F. E. Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
    Bulletin 2 (1946); for two means it is Welch's.
    """
    spread = math.fsum(variance**2 / freedom for variance, freedom in parts if variance)
    total = math.fsum(variance for variance, _ in parts)
    return total**2 / spread if spread else math.fsum(freedom for _, freedom in parts)


def t_mixture(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom for a sum of variances, so that its t is the mean of theirs, each by its variance.

    Satterthwaite's are too many where a variance of few degrees is small by chance: his intervals then hold the truth
    in 92 % of cases, these in 95 to 97 %.
    Source: W. G. Cochran and G. M. Cox, "Experimental designs", 2nd edition (1957), section 4.61.
    """
    from scipy.special import stdtridf  # pyright: ignore[reportMissingTypeStubs]

    total = math.fsum(variance for variance, _ in parts)
    share = 0.5 + CONFIDENCE / 2
    if not total:
        return min(freedom for _, freedom in parts)
    t = math.fsum(variance * t_quantile(share, freedom) for variance, freedom in parts) / total
    return float(stdtridf(share, t))


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
