"""Cells that were measured side by side, estimated together: every interval and every verdict comes from here.

The logarithm of a process's value is cell + round + process. What a round does to all cells alike is taken out, so
that it cancels in ratios; what is left scatters by the cell's own variance between processes. Three processes say
little about that. So it is moderated (`bench.stats.moderated`): drawn towards what the cell's neighbours scatter, in
proportion to what the windows of each scatter, of which there are many. So both levels are in an interval, process and
visit. The interval of a mean holds what rounds do as well.
For the levels: T. Kalibera and R. Jones, "Rigorous benchmarking in reasonable time", ISMM 2013.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.stats import MIN_REPEATS, Estimate, geometric_mean, interval, moments, satterthwaite, t_mixture
from bench.stats.moderated import ZERO, moderate

SWEEPS = 100  # of taking out cells and rounds in turn; two are exact where every cell has every round
Values = Mapping[Any, float]  # a cell's values, above zero, by round
Logs = dict[str, dict[Any, float]]
Weights = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Own:
    """How a cell's processes scatter."""

    variance: float
    freedom: float  # of the variance, with what comes from the neighbours
    weight: float  # of the cell in the means of rounds; all weights add up to 1


@dataclass(frozen=True, kw_only=True)
class Family:
    """Cells by name, and how they scatter; cells of fewer than `MIN_REPEATS` values tell nothing of that."""

    cells: Mapping[str, Values]
    own: Mapping[str, Own]  # empty where nothing can tell rounds from processes
    rounds: tuple[float, float] | None  # variance and freedom of their means; None if cells share fewer than three
    prior: float  # degrees of freedom that come from the neighbours
    pooled: float  # of all cells together: no variance can have more

    def estimate(self, name: str) -> Estimate:
        """Geometric mean of a cell with its interval; Student's of the cell alone where it has no two neighbours."""
        values = list(self.cells[name].values())
        if name not in self.own or self.rounds is None or len(self.own) < 3:
            return geometric_mean(values)
        count, mean, _ = moments(values)
        one = self.own[name]
        rest = one.variance * (1 - one.weight)  # a round's mean holds the cell's own part once already
        freedom = t_mixture([self.rounds, (rest, max(1.0, min(one.freedom, self.pooled)))])
        return interval(mean, (self.rounds[0] + rest) / count, freedom, count)

    def difference(self, new: str, base: str) -> tuple[float, float] | None:
        """Variance of the difference of two cells' processes in one round, and its degrees of freedom, if known.

        What comes from the neighbours is the same for both: it counts once.
        """
        if new not in self.own or base not in self.own:
            return None
        parts = [(one.variance, one.freedom) for one in (self.own[new], self.own[base])]
        once = math.fsum(freedom for _, freedom in parts) - self.prior
        return math.fsum(variance for variance, _ in parts), min(satterthwaite(parts), once, self.pooled)


def fit(cells: Mapping[str, Values], windows: Mapping[str, float] | None = None) -> Family:
    """The family of some cells.

    Args:
        cells: values by round; rounds are shared where their keys are equal.
        windows: for each cell the variance of one process's logarithm as its windows tell it; left out of account
            unless known of every cell.

    Raises:
        ValueError: a value that is not above zero.
    """
    logs: Logs = {}
    for name, values in cells.items():
        if values and moments(list(values.values()))[0] >= MIN_REPEATS:
            logs[name] = {key: math.log(value) for key, value in values.items()}
    spare = [len(values) - 1.0 for values in logs.values()]
    joined = rounds_joined(logs)
    pooled = math.fsum(spare) - (len({key for values in logs.values() for key in values}) - joined)
    if pooled <= 0:
        return Family(cells=cells, own={}, rounds=None, prior=0.0, pooled=0.0)
    expected = scales([(windows or {}).get(name) for name in logs])
    alone = [moments(list(cells[name].values()))[2] for name in logs]
    weights = dict(zip(logs, (1 / max(one, ZERO) for one in moderate(alone, spare, expected)[0]), strict=True))
    freedoms = left_over(logs, weights, joined)
    squares = [math.fsum(one**2 for one in rest.values()) for rest in residuals(logs, weights).values()]
    seen = [s / d if s > ZERO else 0.0 for s, d in zip(squares, freedoms, strict=True)]
    variances, prior = moderate(seen, freedoms, expected)
    own = {
        name: Own(variance=variance, freedom=d + prior, weight=weights[name] / math.fsum(weights.values()))
        for name, variance, d in zip(logs, variances, freedoms, strict=True)
    }
    return Family(cells=cells, own=own, rounds=of_rounds(logs, own), prior=prior, pooled=pooled)


def scales(windows: Sequence[float | None]) -> list[float]:
    """What the cells' variances are in proportion to: those of their windows, or all alike where one is unknown."""
    known = [one for one in windows if one is not None and one > ZERO]
    return known if len(known) == len(windows) else [1.0] * len(windows)


def left_over(logs: Logs, weights: Weights, joined: int) -> list[float]:
    """Degrees of freedom of each cell's residuals: what a round's mean takes, it takes from cells by their weight."""
    sums = by_round({name: dict.fromkeys(values, weights[name]) for name, values in logs.items()})
    part = 1 - joined / len(sums)  # means of rounds and of cells have one degree in common for each set of cells
    taken = {name: math.fsum(weights[name] / sums[key] for key in values) for name, values in logs.items()}
    return [max(len(values) - 1 - part * taken[name], 1e-9) for name, values in logs.items()]


def residuals(logs: Logs, weights: Weights) -> Logs:
    """What is left without the means of cells and of rounds: by weighted least squares, both taken out in turn."""
    rest = {name: dict(values) for name, values in logs.items()}
    sums = by_round({name: dict.fromkeys(values, weights[name]) for name, values in logs.items()})
    for _ in range(SWEEPS):
        for values in rest.values():
            mean = math.fsum(values.values()) / len(values)
            values.update({key: value - mean for key, value in values.items()})
        parts = {name: {key: weights[name] * one for key, one in values.items()} for name, values in rest.items()}
        means = {key: total / sums[key] for key, total in by_round(parts).items()}
        for values in rest.values():
            values.update({key: value - means[key] for key, value in values.items()})
        if max(map(abs, means.values())) < 1e-14:
            break
    return rest


def by_round(cells: Logs) -> dict[Any, float]:
    """Sums over cells."""
    found: dict[Any, list[float]] = {}
    for values in cells.values():
        for key, value in values.items():
            found.setdefault(key, []).append(value)
    return {key: math.fsum(values) for key, values in found.items()}


def rounds_joined(logs: Logs) -> int:
    """Into how many sets cells fall that no round joins: one for cells of one run."""
    joined: list[set[Any]] = []
    for values in logs.values():
        apart = [one for one in joined if not one & values.keys()]
        joined = [*apart, set(values).union(*(one for one in joined if one & values.keys()))]
    return len(joined)


def of_rounds(logs: Logs, own: Mapping[str, Own]) -> tuple[float, float] | None:
    """Variance of the weighted mean of all cells from round to round, over the rounds that every cell has."""
    whole = [key for key in next(iter(logs.values())) if all(key in values for values in logs.values())]
    if len(whole) < MIN_REPEATS:
        return None
    means = [math.fsum(own[name].weight * values[key] for name, values in logs.items()) for key in whole]
    middle = math.fsum(means) / len(means)
    return math.fsum((one - middle) ** 2 for one in means) / (len(means) - 1), len(means) - 1.0
