"""Statistics over repeats. The unit is the process: one value a repeat, never the samples within one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MIN_REPEATS = 3  # below this there is no interval


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


def geometric_mean(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Geometric mean with a Student t interval on the logarithms (n − 1 degrees of freedom).

    Raises:
        ValueError: no values, or one that is not above zero.
    """
    if not values or min(values) <= 0:
        raise ValueError("a geometric mean needs values above zero")
    logs = [math.log(value) for value in values]
    count, mean = len(logs), math.fsum(logs) / len(logs)
    if count < MIN_REPEATS:
        return Estimate(mean=math.exp(mean), low=None, high=None, count=count)
    # late: it is larger than all that the runner holds otherwise; it has no stubs
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]

    deviation = math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / (count - 1))
    half = float(stdtrit(count - 1, 0.5 + confidence / 2)) * deviation / math.sqrt(count)
    return Estimate(mean=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half), count=count)
