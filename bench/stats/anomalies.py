"""What is odd about a cell's windows and repeats, each in a sentence with its numbers. From records alone.

A figure stays as it is: its value is the middle of each process's windows that count. But a reader should know if
those windows were no steady state. Each check is a test with a stated rate of false alarms on quiet data (normal on the
logarithm, no trend) of at most 2 %, and speaks up only if what it found is also large enough to matter.
"""

import math
import statistics
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from bench import metrics, windows
from bench.record import Record
from bench.stats import moments, t_quantile
from bench.units import scaled

Kind = Literal["drift", "levels", "outlier", "apart"]
MARKS: Mapping[Kind, tuple[str, str]] = {  # a letter for tables, and what it stands for
    "drift": ("d", "a process's windows grow or shrink"),
    "levels": ("l", "a process's windows lie on two levels"),
    "outlier": ("o", "single windows far off their process's median"),
    "apart": ("r", "one repeat apart from the others"),
}
SMALLEST: Mapping[Kind, float] = {"drift": 0.03, "levels": 0.03, "outlier": 0.05, "apart": 0.03}  # share to speak up at
MIN_WINDOWS = 5  # below this nothing is said about windows
MAX_WINDOWS = 40  # of more, neighbours are merged
DRIFT_LEVEL = 0.02
APART_LEVEL = 0.01

# What 1 % of quiet series exceed, by how many windows there are: 200,000 simulated each. Between two take the smaller.
LEVELS_1_PERCENT = {
    5: 56.2, 6: 29.5, 7: 19.4, 8: 14.6, 9: 11.7, 10: 9.8, 11: 8.7, 12: 7.8, 13: 7.1, 14: 6.6, 15: 6.1, 16: 5.8, 17: 5.5,
    18: 5.3, 19: 5.1, 20: 4.9, 25: 4.3, 30: 3.9, 40: 3.4,
}  # fmt: skip
OUTLIER_1_PERCENT = {
    5: 27.4, 6: 14.9, 7: 15.9, 8: 11.8, 9: 12.2, 10: 10.3, 11: 10.5, 12: 9.3, 13: 9.5, 14: 8.6, 15: 8.8, 16: 8.3,
    17: 8.4, 18: 7.9, 19: 8.0, 20: 7.8, 25: 7.5, 30: 7.1, 40: 6.8,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Anomaly:
    kind: Kind
    text: str  # a short sentence with numbers


def find_anomalies(repeats: Sequence[Record]) -> list[Anomaly]:
    """What is odd about the repeats of one cell: about each one's windows, then about one among the others."""
    found: list[Anomaly] = []
    values: dict[int, float] = {}
    for record in repeats:
        steps: list[float] = [window["seconds"] / window["steps"] for window in _windows(record)]
        said = [check(steps) for check in (drift, levels, outlier)] if min(steps, default=0) > 0 else []
        found += [
            Anomaly(kind=one.kind, text=f"round {record['repeat'] + 1}: {one.text}") for one in said if one is not None
        ]
        if record["status"] == "ok" and (step := metrics.step_s(record)):
            values[record["repeat"]] = step
    odd = apart(values)
    return [*found, *([odd] if odd else [])]


def _windows(record: Record) -> list[dict[str, Any]]:
    return windows.counted(record)


def drift(windows_s: Sequence[float]) -> Anomaly | None:
    """Windows that grow or shrink from first to last: a Mann-Kendall test, and the Theil-Sen slope as the size.

    S counts pairs that rise less pairs that fall; its distribution over all orders is exact at any count. The slope is
    the median over all pairs of the logarithms' differences over their distances.
    Sources: H. B. Mann, Econometrica 13 (1945); P. K. Sen, J. Am. Stat. Assoc. 63 (1968).
    """
    logs = _merged_logs(windows_s)
    count = len(logs)
    if count < MIN_WINDOWS:
        return None
    pairs = [(i, j) for j in range(count) for i in range(j)]
    score = sum((logs[j] > logs[i]) - (logs[j] < logs[i]) for i, j in pairs)
    if _rank_p(count, abs(score)) > DRIFT_LEVEL:
        return None
    change = math.expm1((count - 1) * statistics.median((logs[j] - logs[i]) / (j - i) for i, j in pairs))
    if abs(change) < SMALLEST["drift"]:
        return None
    return Anomaly(
        kind="drift", text=f"windows {'grow' if change > 0 else 'shrink'} by {_percent(change)} from first to last"
    )


def levels(windows_s: Sequence[float]) -> Anomaly | None:
    """Windows on two levels: the best cut of the sorted logarithms in two parts, each of two windows or more.

    The statistic is the largest ratio of the sum of squares between the parts to that within them.
    Source: L. Engelman and J. A. Hartigan, "Percentage points of a test for clusters", J. Am. Stat. Assoc. 64 (1969).
    """
    logs = sorted(_merged_logs(windows_s))
    count = len(logs)
    if count < MIN_WINDOWS:
        return None
    mean = statistics.fmean(logs)
    total = math.fsum((log - mean) ** 2 for log in logs)
    parts = [(logs[:cut], logs[cut:]) for cut in range(2, count - 1)]
    gains = [len(a) * len(b) / count * (statistics.fmean(b) - statistics.fmean(a)) ** 2 for a, b in parts]
    between, (low, high) = max(zip(gains, parts, strict=True))
    if between <= _critical(LEVELS_1_PERCENT, count) * max(total - between, 0.0):
        return None
    fast, slow = math.exp(statistics.fmean(low)), math.exp(statistics.fmean(high))
    if slow / fast - 1 < SMALLEST["levels"]:
        return None
    return Anomaly(
        kind="levels",
        text=f"windows lie on two levels {_percent(slow / fast - 1)} apart, {len(low)} of {scaled(fast, 's')} "
        f"and {len(high)} of {scaled(slow, 's')} a step",
    )


def outlier(windows_s: Sequence[float]) -> Anomaly | None:
    """Single windows far off: the logarithm's distance from the median in units of the median distance (MAD).

    How many units are too many depends on how few windows there are: with 5 the MAD itself is that uncertain.
    Source: F. R. Hampel, "The influence curve and its role in robust estimation", J. Am. Stat. Assoc. 69 (1974).
    """
    logs = _merged_logs(windows_s)
    if len(logs) < MIN_WINDOWS:
        return None
    middle = statistics.median(logs)
    off = [log - middle for log in logs]
    limit = _critical(OUTLIER_1_PERCENT, len(logs)) * statistics.median(abs(one) for one in off)
    far = [one for one in off if abs(one) > limit and abs(math.expm1(one)) >= SMALLEST["outlier"]]
    if not far:
        return None
    worst = math.expm1(max(far, key=abs))
    which = f"1 of {len(logs)} windows is" if len(far) == 1 else f"{len(far)} of {len(logs)} windows are up to"
    return Anomaly(kind="outlier", text=f"{which} {_percent(worst)} {'above' if worst > 0 else 'below'} the median")


def apart(values: Mapping[int, float]) -> Anomaly | None:
    """One repeat far from the others, by round: Grubbs' test on logarithms.

    G = max |x − mean| / s, against (n − 1) / √n · √(t² / (n − 2 + t²)) with t = t(1 − α / 2n; n − 2). With three
    repeats it takes two that nearly agree.
    Source: F. E. Grubbs, "Sample criteria for testing outlying observations", Ann. Math. Stat. 21 (1950).
    """
    if len(values) < 3:
        return None
    count, mean, variance = moments(list(values.values()))
    repeat = max(values, key=lambda one: abs(math.log(values[one]) - mean))
    t = t_quantile(1 - APART_LEVEL / (2 * count), count - 2)
    limit = (count - 1) * math.sqrt(variance / count * t * t / (count - 2 + t * t))
    others = moments([value for key, value in values.items() if key != repeat])[1]
    change = values[repeat] / math.exp(others) - 1
    if abs(math.log(values[repeat]) - mean) <= limit or abs(change) < SMALLEST["apart"]:
        return None
    less = "longer" if change > 0 else "less"
    return Anomaly(kind="apart", text=f"round {repeat + 1} took {_percent(change)} {less} than the other {count - 1}")


def _merged_logs(values: Sequence[float]) -> list[float]:
    """Logarithms, of more than `MAX_WINDOWS` those of medians over neighbours."""
    size = -(-len(values) // MAX_WINDOWS) or 1
    blocks = [values[start : start + size] for start in range(0, len(values), size)]
    return [math.log(statistics.median(block)) for block in blocks]


def _critical(table: Mapping[int, float], count: int) -> float:
    keys = list(table)
    return table[keys[bisect_right(keys, count) - 1]]


@cache
def _rank_tail(count: int) -> list[float]:
    """For each number of falling pairs the probability of so many or fewer, over all orders of `count` values."""
    shares = [1.0]
    for size in range(2, count + 1):  # the newcomer makes 0 to size − 1 falling pairs, each as likely
        wider = [0.0] * (len(shares) + size - 1)
        for falling, share in enumerate(shares):
            for more in range(size):
                wider[falling + more] += share / size
        shares = wider
    total, tail = 0.0, list[float]()
    for share in shares:
        total += share
        tail.append(total)
    return tail


def _rank_p(count: int, score: int) -> float:
    """Probability that |S| is `score` or more where every order is as likely."""
    falling = (count * (count - 1) // 2 - score) // 2
    return min(1.0, 2 * _rank_tail(count)[falling]) if score else 1.0


def _percent(share: float) -> str:
    return f"{100 * abs(share):.{0 if abs(share) >= 0.0995 else 1}f} %"
