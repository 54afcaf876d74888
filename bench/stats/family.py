"""Cells that were measured side by side, estimated together: every interval and every verdict comes from here.

The logarithm of a process's value is cell + round + process. What a round does to all cells alike is taken out, so
that it cancels in ratios; what is left scatters by the cell's own variance between processes. That has two levels: how
far processes differ (the same for all cells, pooled) and how well the windows of one process say where it lies (known
for each cell from its own windows). Their sum is what a cell's variance is expected to be, and towards it the variance
that was seen is moderated. The interval of a mean holds what rounds do as well.
Sources: T. Kalibera and R. Jones, "Rigorous benchmarking in reasonable time", ISMM 2013, for the levels;
`bench.stats.moderated` for the rest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.stats import MIN_REPEATS, Estimate, geometric_mean, interval, moments, satterthwaite
from bench.stats.moderated import ZERO, moderate

SWEEPS = 100  # of taking out cells and rounds in turn; two are exact where every cell has every round
Values = Mapping[Any, float]  # a cell's values, above zero, by round
Logs = dict[str, dict[Any, float]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A variance and its degrees of freedom."""

    variance: float
    freedom: float


@dataclass(frozen=True, kw_only=True)
class Family:
    """Cells by name, and how they scatter; cells of fewer than `MIN_REPEATS` values tell nothing of that."""

    cells: Mapping[str, Values]
    own: Mapping[str, Part]  # between a cell's processes, moderated; empty where nothing can tell rounds from processes
    rounds: Part | None  # of the means of whole rounds; None with fewer than `MIN_REPEATS` that all cells have
    prior: float  # degrees of freedom that come from the neighbours
    pooled: float  # of all cells together: no variance can have more

    def estimate(self, name: str) -> Estimate:
        """Geometric mean of a cell with its interval; Student's of the cell alone where it has no family."""
        values = list(self.cells[name].values())
        if name not in self.own or self.rounds is None:
            return geometric_mean(values)
        count, mean, _ = moments(values)
        one, all_cells = self.own[name], len(self.own)
        rest = one.variance * (1 - 1 / all_cells)  # a round's mean holds the cell's own part once already
        own = min(one.freedom, self.pooled)
        freedom = satterthwaite([(self.rounds.variance, self.rounds.freedom), (rest, own)])
        return interval(mean, (self.rounds.variance + rest) / count, freedom, count)

    def difference(self, new: str, base: str) -> Part | None:
        """Variance of the difference of two processes of one round, a logarithm; None where it is not known.

        What comes from the neighbours is the same for both: it counts once.
        """
        if new not in self.own or base not in self.own:
            return None
        parts = [self.own[new], self.own[base]]
        once = math.fsum(one.freedom for one in parts) - self.prior
        freedom = min(satterthwaite([(one.variance, one.freedom) for one in parts]), once, self.pooled)
        return Part(variance=math.fsum(one.variance for one in parts), freedom=freedom)


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
    spare = {name: len(values) - 1 for name, values in logs.items()}
    pooled = float(sum(spare.values()) - round_freedom(logs))
    if pooled <= 0:
        return Family(cells=cells, own={}, rounds=None, prior=0.0, pooled=0.0)
    freedoms = [one * pooled / sum(spare.values()) for one in spare.values()]
    seen = [
        found if (found := math.fsum(one**2 for one in rest.values()) / d) > ZERO else 0.0
        for rest, d in zip(residuals(logs).values(), freedoms, strict=True)
    ]
    variances, prior = moderate(seen, freedoms, scales(seen, freedoms, [(windows or {}).get(name) for name in logs]))
    own = {
        name: Part(variance=variance, freedom=d + prior.freedom)
        for name, variance, d in zip(logs, variances, freedoms, strict=True)
    }
    return Family(cells=cells, own=own, rounds=of_rounds(logs), prior=prior.freedom, pooled=pooled)


def scales(seen: list[float], freedoms: list[float], windows: list[float | None]) -> list[float]:
    """What each cell's variance is expected to be: that between processes, pooled, plus that of its windows."""
    known = [one for one in windows if one is not None and one > 0]
    if len(known) < len(seen):
        return [1.0] * len(seen)
    between = math.fsum(d * (s - v) for s, d, v in zip(seen, freedoms, known, strict=True)) / math.fsum(freedoms)
    return [max(between, 0.0) + one for one in known]


def residuals(logs: Logs) -> Logs:
    """What is left without the means of cells and of rounds: by least squares, both taken out in turn."""
    rest = {name: dict(values) for name, values in logs.items()}
    for _ in range(SWEEPS):
        for values in rest.values():
            mean = math.fsum(values.values()) / len(values)
            values.update({key: value - mean for key, value in values.items()})
        sums: dict[Any, list[float]] = {}
        for values in rest.values():
            for key, value in values.items():
                sums.setdefault(key, []).append(value)
        means = {key: math.fsum(found) / len(found) for key, found in sums.items()}
        for values in rest.values():
            values.update({key: value - means[key] for key, value in values.items()})
        if max(map(abs, means.values()), default=0.0) < 1e-14:
            break
    return rest


def round_freedom(logs: Logs) -> int:
    """Degrees of freedom that rounds take: their number, less one for each set of cells that no round joins."""
    joined: list[set[Any]] = []
    for values in logs.values():
        apart = [one for one in joined if not one & values.keys()]
        joined = [*apart, set(values).union(*(one for one in joined if one & values.keys()))]
    return sum(len(one) - 1 for one in joined)


def of_rounds(logs: Logs) -> Part | None:
    """Variance of the mean over all cells from round to round, over the rounds that every cell has."""
    whole = set.intersection(*(set(values) for values in logs.values()))
    if len(whole) < MIN_REPEATS:
        return None
    means = [math.fsum(values[key] for values in logs.values()) / len(logs) for key in sorted(whole, key=repr)]
    middle = math.fsum(means) / len(means)
    return Part(
        variance=math.fsum((one - middle) ** 2 for one in means) / (len(means) - 1), freedom=len(means) - 1.0
    )
