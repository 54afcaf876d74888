"""The wait check: after a window was waited for, is there anything left to wait for?

Behind each window the losses and a parameter are read to the host, which waits for the device in another way than
`sync` does. The same reading once more finds a device that is known to be idle: that is the control. Before the control
the processor's caches are filled with other data, since the training steps left them so before the first reading.
Only what the first reading takes beyond the control counts.

Measured with two cores and four busy processes on them, in three frameworks: the median excess of honest windows is at
most 0.04 % of the window, and 0 to 5 % of the windows exceed `SHARE`. Without the control TensorFlow's readings take
0.5 to 1.6 ms.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SHARE = 0.005  # of a window: an error of the clock that is below every difference which the statistics can name
LEVEL = 1e-4  # probability that an honest cell is accused, if chance alone decides which of its windows exceed `SHARE`
MOST = 120  # windows after which a cell that is still suspected counts as honest
FEW = 0.25  # share of windows that exceed by chance beside busy processes, and more: up to there nobody is suspected
CACHES_BYTES = 32 << 20  # more than the caches that a core has to itself, on every processor so far


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Seconds of one window, and of the two readings behind it."""

    window_s: float
    rewait_s: float  # of the first reading, which waits for what `sync` left out
    control_s: float  # of the same reading on an idle device

    @classmethod
    def of(cls, window: Mapping[str, Any]) -> "Wait":
        """The wait of a record's window."""
        return cls(window_s=window["seconds"], rewait_s=window["rewait_s"], control_s=window["control_s"])

    @property
    def excess_s(self) -> float:
        return self.rewait_s - self.control_s

    @property
    def share(self) -> float:
        return self.excess_s / self.window_s

    @property
    def exceeds(self) -> bool:
        return self.share > SHARE


class Caches:
    """Memory that is larger than the caches; to be made before the memory of a cell is measured."""

    def __init__(self, size: int = CACHES_BYTES) -> None:
        self.filling = np.ones(size // 8)  # touched, so that it is held from here on

    def fill(self) -> None:
        """Move what the caches hold out of them."""
        np.add(self.filling, 1.0, out=self.filling)


def suspected(waits: Sequence[Wait]) -> bool:
    """Whether more windows are needed to decide: more than a few exceed, and chance may still be the reason."""
    return _exceeding(waits) > FEW * len(waits) and fault(waits) is None and len(waits) < MOST


def fault(waits: Sequence[Wait]) -> str | None:
    """Why the windows cannot be trusted, or None.

    A sign test: on an honest device at most every second window exceeds `SHARE`, whatever disturbs the machine, since
    what disturbs the first reading disturbs the control as often. Source: W. J. Conover, Practical Nonparametric
    Statistics, section 3.4.
    """
    count, exceeding = len(waits), _exceeding(waits)
    chance = sum(math.comb(count, more) for more in range(exceeding, count + 1)) / 2**count
    if chance > LEVEL:
        return None
    excess_s = statistics.median(wait.excess_s for wait in waits)
    window_s = statistics.median(wait.window_s for wait in waits)
    return (
        f"the second wait took {1e3 * excess_s:.1f} ms longer than on an idle device, "
        f"behind {exceeding} of {count} windows of {1e3 * window_s:.0f} ms"
    )


def summary(waits: Sequence[Wait]) -> dict[str, float]:
    """The record's `sync_check`: shares of a window that the first reading took beyond the control."""
    shares = [wait.share for wait in waits]
    return {"median_share": statistics.median(shares), "max_share": max(shares)}


def _exceeding(waits: Sequence[Wait]) -> int:
    return sum(wait.exceeds for wait in waits)
