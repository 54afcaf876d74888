"""Every pair judged: ratio, interval, verdict. Holm's correction goes over the whole table."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.metrics import Metric
from bench.stats import CONFIDENCE, MIN_REPEATS, Estimate, holm, t_quantile
from bench.stats.compare import Comparison, smallest_visible, verdict
from report.cells import BY_NAME, Cell
from report.cells import compared as compared_cells
from report.compare.matching import Pair
from report.neighbours import values

RATE = "throughput_per_s"
MEMORY = ("device_memory_bytes", "host_memory_bytes")  # the first that both sides have
COMPILE = "compile_s"
ENERGY, PRICE = "joules_per_item", "price_per_million"
CONSUMED = (*MEMORY, ENERGY, PRICE)  # of which one takes more or less, where else it is slower or faster
MORE_OR_LESS = {"slower": "more", "faster": "less"}  # words for what is consumed


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of one pair."""

    pair: Pair
    metric: Metric
    found: Comparison  # NEW over BASE
    p: float | None  # adjusted for the table
    verdict: str  # faster, slower, same, undecided; of what is consumed more and less
    visible: float | None  # the share that would have been found
    cautions: Sequence[str] = ()

    @property
    def worse_by(self) -> float:
        """The share by which NEW takes more time, memory, energy or money: 0.1 is 10 % more; below 0 it takes less."""
        return (1 / self.found.ratio if self.metric.better == "higher" else self.found.ratio) - 1

    @property
    def regressed(self) -> bool:
        """Whether NEW is worse beyond noise."""
        return self.verdict in ("slower", "more")


def differences(pairs: Iterable[Pair]) -> list[Difference]:
    """All that can be compared: throughput, memory, energy, price, and the compile time of enough cold starts.

    Where both sides pay the same for an hour, price tells what throughput tells: that is one test, not two.
    """
    found = [one for pair in pairs for one in of_pair(pair)]
    own = [None if restated(one) else one.found.p for one in found]
    tests = sum(p is not None for p in own)
    adjusted = holm(own)
    of_rate = {id(one.pair): p for one, p in zip(found, adjusted, strict=True) if one.metric.name == RATE}
    return [
        judged(one, of_rate.get(id(one.pair)) if restated(one) else p, tests)
        for one, p in zip(found, adjusted, strict=True)
    ]


def restated(one: Difference) -> bool:
    """Whether a difference of price is that of the throughput in other words."""
    paid = {
        (row["price_per_hour"], 1 if row["platform"] == "cpu" else row["devices"])
        for row in (*one.pair.base.ok, *one.pair.new.ok)
    }
    return one.metric.name == PRICE and len(paid) == 1


def of_pair(pair: Pair) -> list[Difference]:
    memory = next((name for name in MEMORY if has(pair.base, name) and has(pair.new, name)), None)
    told = [compared(pair, name) for name in (RATE, memory, ENERGY, PRICE) if name]
    cold = [[row for row in cell.ok if row["compile_cache"] == "cold"] for cell in (pair.base, pair.new)]
    if all(len(values(rows, COMPILE)) >= MIN_REPEATS for rows in cold):
        told.append(compared(pair, COMPILE, cache="cold"))
    return [one for one in told if one]


def has(cell: Cell, metric: str) -> bool:
    return bool(values(cell.ok, metric))


def compared(pair: Pair, metric: str, *, cache: str | None = None) -> Difference | None:
    """By round within a run; rounds of two runs have nothing in common."""
    found = compared_cells(pair.new, pair.base, metric, cache=cache)
    if found is None:
        return None
    cautions = [one for one in pair.cautions if metric != RATE or not one.startswith("compile cache")]
    return Difference(
        pair=pair, metric=BY_NAME[metric], found=found, p=None, verdict="undecided", visible=None, cautions=cautions
    )


def judged(one: Difference, p: float | None, tests: int) -> Difference:
    word = verdict(one.found, better=one.metric.better, p=p)
    return replace(
        one,
        p=p,
        verdict=MORE_OR_LESS.get(word, word) if one.metric.name in CONSUMED else word,
        visible=smallest_visible(one.found, max(tests, 1)),
    )


def mean_ratio(found: Sequence[Difference]) -> Estimate | None:
    """The geometric mean of some cells' ratios, with its interval where each has one.

    The cells are those that were measured, no sample of others: what is uncertain is the noise in each ratio, and the
    variances of independent logarithms add up (freedom: Satterthwaite, Biometrics Bulletin 2 (1946)).
    """
    if not found:
        return None
    mean = math.fsum(math.log(one.found.ratio) for one in found) / len(found)
    parts = [(one.found.error, one.found.freedom) for one in found]
    known = [(error, freedom) for error, freedom in parts if error is not None and freedom is not None]
    if len(known) < len(found):
        return Estimate(mean=math.exp(mean), low=None, high=None, count=len(found))
    variance = math.fsum(error**2 for error, _ in known)
    spread = math.fsum(error**4 / freedom for error, freedom in known)
    freedom = variance**2 / spread if spread else math.inf
    half = t_quantile(0.5 + CONFIDENCE / 2, freedom) * math.sqrt(variance) / len(found) if variance else 0.0
    return Estimate(mean=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half), count=len(found))
