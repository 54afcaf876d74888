"""What the statistics hold and find on recorded noise: the tables of docs/statistics.md.

    python benchmarks/coverage.py

An A/A run of nine cells in two arms is drawn from a series (`benchmarks/series.py`) thousands of times: process by
process, visit by visit. Then one arm of one cell is made 10 % slower. The formulas are those of `bench.stats.family`
for many runs at once, every cell having every round; tests/unit/test_coverage.py shows that they give the same.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma, stdtr, stdtridf, stdtrit

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.stats import TRIM
from bench.stats.allotment import visits as best_visits
from bench.stats.moderated import LEAST, MOST_PRIOR, OFFSET
from benchmarks.series import QUIET, Array, Made, Series, recorded

CELLS = 9
SLOWER = math.log(1.1)
RUNS = 4000
ROUNDS, VISITS = (2, 3, 5, 7), (5, 10, 20, 30)
ROUND_SPREAD = {"quiet": 0.012, "busy": 0.02}  # of whole rounds: the series in turn lie 1 to 2 % apart as a whole
Tested = tuple[Array, Array, Array]  # differences of logarithms, their errors, degrees of freedom


@dataclass(frozen=True, kw_only=True)
class Fit:
    """`bench.stats.family.Family` for many runs: runs × cells."""

    own: Array
    freedom: Array
    weight: Array
    rounds: Array
    prior: Array
    pooled: float


def middles(windows: Array) -> tuple[Array, Array]:
    """`bench.stats.middle` over the last axis: logarithms and their variances."""
    count = windows.shape[-1]
    cut, ordered = int(TRIM * count), np.sort(windows, axis=-1)
    kept = ordered[..., cut : count - cut]
    winsorized = np.clip(ordered, kept[..., :1], kept[..., -1:])
    return kept.mean(-1), winsorized.var(-1, ddof=1) * count / kept.shape[-1] ** 2


def moderate(seen: Array, freedoms: Array, scales: Array, most: float = MOST_PRIOR) -> tuple[Array, Array]:
    """`bench.stats.moderated.moderate`, a run a row."""
    x, use = seen / scales, freedoms >= LEAST
    counts = use.sum(1)
    low = OFFSET * np.nanmedian(np.where(use, x, np.nan), axis=1)[:, None]
    half = np.where(use, freedoms, 1.0) / 2
    logs = np.where(use, np.log(np.maximum(x, low)) - polygamma(0, half) + np.log(half), 0.0)
    mean = logs.sum(1) / counts
    spread = np.where(use, (logs - mean[:, None]) ** 2, 0.0).sum(1) / (counts - 1)
    excess = spread - np.where(use, polygamma(1, half), 0.0).sum(1) / counts
    prior, variance = np.full(len(x), most), np.where(use, freedoms * x, 0).sum(1) / np.where(use, freedoms, 0).sum(1)
    told = excess > 0
    y = inverse(excess[told])
    prior[told], variance[told] = np.minimum(2 * y, most), np.exp(mean[told] + polygamma(0, y) - np.log(y))
    prior = prior[:, None]
    return (prior * variance[:, None] * scales + freedoms * seen) / (prior + freedoms), prior


def inverse(values: Array) -> Array:
    """Of the trigamma function."""
    y = 0.5 + 1 / values
    for _ in range(30):
        here = polygamma(1, y)
        y = y + here * (1 - here / values) / polygamma(2, y)
    return y


def fit(logs: Array, windows: Array, most: float = MOST_PRIOR) -> Fit:
    """Of logarithms, runs × cells × rounds, and the windows' variances, runs × cells."""
    rounds, around = logs.shape[2], logs - logs.mean(2, keepdims=True)
    alone = moderate(logs.var(2, ddof=1), np.full(windows.shape, rounds - 1.0), windows, most)[0]
    weight = 1 / alone / (1 / alone).sum(1, keepdims=True)
    common = (weight[..., None] * around).sum(1)
    freedoms = (rounds - 1) * (1 - weight)
    seen = ((around - common[:, None]) ** 2).sum(2) / freedoms
    own, prior = moderate(seen, freedoms, windows, most)
    return Fit(
        own=own, freedom=freedoms + prior, weight=weight, prior=prior, pooled=(logs.shape[1] - 1.0) * (rounds - 1),
        rounds=(common**2).sum(1, keepdims=True) / (rounds - 1),
    )  # fmt: skip


def moderated(logs: Array, windows: Array, most: float = MOST_PRIOR) -> Tested:
    """The second half of the cells against the first, as `bench.stats.compare.compare_cells` does."""
    found, half = fit(logs, windows, most), logs.shape[1] // 2
    (one, two), (f, g) = (np.split(of, 2, axis=1) for of in (found.own, found.freedom))
    freedom = np.minimum((one + two) ** 2 / (one**2 / f + two**2 / g), f + g - found.prior)
    means = logs.mean(2)
    return means[:, half:] - means[:, :half], np.sqrt((one + two) / logs.shape[2]), np.minimum(freedom, found.pooled)


def plain(logs: Array, windows: Array) -> Tested:
    """Student's t on differences, each pair for itself."""
    base, new = np.split(logs, 2, axis=1)
    difference, rounds = new - base, logs.shape[2]
    error = difference.std(2, ddof=1) / math.sqrt(rounds)
    return difference.mean(2), error, np.full(error.shape, rounds - 1.0)


def estimates(logs: Array, windows: Array) -> tuple[Array, Array]:
    """Means of cells and half widths, as `Family.estimate` has them."""
    found, rounds = fit(logs, windows), logs.shape[2]
    rest = found.own * (1 - found.weight)
    f = np.maximum(np.minimum(found.freedom, found.pooled), 1.0)
    t = (found.rounds * stdtrit(rounds - 1, 0.975) + rest * stdtrit(f, 0.975)) / (found.rounds + rest)
    assert np.isfinite(stdtridf(0.975, t)).all()
    return logs.mean(2), t * np.sqrt((found.rounds + rest) / rounds)


METHODS: dict[str, Callable[[Array, Array], Tested]] = {"plain t": plain, "moderated": moderated}


def runs(
    noise: Series | Made, rounds: int, visits: int, count: int, seed: int, spread: float = 1.0, cells: int = CELLS
) -> tuple[Array, Array]:
    """A/A runs: logarithms and windows' variances; the noise of cells differs by up to `spread` between them."""
    rng = np.random.default_rng(seed)
    logs, windows = middles(noise.draw(rng, (count, 2 * cells, rounds), visits))
    scale = np.tile(spread ** rng.random((count, cells)), 2)
    logs = scale[..., None] * logs + ROUND_SPREAD[noise.noise] * rng.standard_normal((count, 1, rounds))
    return logs, scale**2 * windows.mean(2)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Shares: of intervals that hold the truth, of A/A runs that name any cell, of planted slow-downs named."""

    holds: float
    false: float
    power: float
    half_width: float  # median, of a ratio's interval


def found(method: Callable[[Array, Array], Tested], logs: Array, windows: Array) -> Found:
    """One method on A/A runs, and on the same runs with a slower cell."""
    difference, error, freedom = method(logs, windows)
    level, half = 0.05 / difference.shape[1], stdtrit(freedom, 0.975) * error
    slow = logs.copy()
    slow[:, logs.shape[1] // 2] += SLOWER
    later = [of[:, 0] for of in method(slow, windows)]
    return Found(
        holds=float((np.abs(difference) <= half).mean()),
        false=float((p_values(difference, error, freedom) < level).any(1).mean()),
        power=float((p_values(*later) < level).mean()),
        half_width=float(np.median(half)),
    )


def p_values(difference: Array, error: Array, freedom: Array) -> Array:
    with np.errstate(all="ignore"):  # two draws of the same two processes differ by nothing, without error
        return 2 * stdtr(freedom, -np.abs(difference) / error)


def means_held(logs: Array, windows: Array, truth: float) -> float:
    """Share of cells whose own interval holds its truth."""
    mean, half = estimates(logs, windows)
    return float((np.abs(mean - truth) <= half).mean())


def truth_of(noise: Series | Made, visits: int) -> float:
    """What the middle of so many visits comes to in the long run."""
    return float(middles(noise.draw(np.random.default_rng(99), (100_000,), visits))[0].mean())


def row(values: Sequence[object]) -> None:
    print("|", " | ".join(map(str, values)), "|")


def head(*names: str) -> None:
    row(names)
    print("|" + "---|" * len(names))


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def show_locations(noises: Sequence[Series | Made]) -> None:
    """How far the value of a process scatters, by how it is taken from 20 visits."""
    kinds: dict[str, Callable[[Array], NDArray[np.float64]]] = {
        "middle three fifths": lambda w: middles(w)[0], "median": lambda w: np.median(w, -1),
        "mean": lambda w: w.mean(-1), "lower quartile": lambda w: np.quantile(w, 0.25, axis=-1),
        "minimum": lambda w: w.min(-1),
    }  # fmt: skip
    print("\nSpread of a process's value, 20 visits, percent\n")
    head("noise", *kinds)
    for one in noises:
        windows = one.draw(
            np.random.default_rng(1), (20_000,), min(20, one.pool.shape[1] if isinstance(one, Series) else 20)
        )
        row([one.name, *(percent(float(of(windows).std())) for of in kinds.values())])


def show_grid(noise: Series | Made, spread: float = 1.0) -> None:
    print(f"\n{noise.name}{f', cells up to {spread:g} times apart' if spread > 1 else ''}\n")
    head(
        "rounds",
        "visits",
        *(f"{what}, {name}" for what in ("holds", "A/A names", "finds 10 %", "±") for name in METHODS),
        "mean held",
    )
    for rounds in ROUNDS:
        for visits in VISITS:
            logs, windows = runs(noise, rounds, visits, RUNS, seed=rounds, spread=spread)
            told = [found(method, logs, windows) for method in METHODS.values()]
            held = means_held(logs, windows, truth_of(noise, visits)) if spread == 1 else math.nan
            parts = [[getattr(one, name) for one in told] for name in ("holds", "false", "power", "half_width")]
            row(
                [rounds, visits, *(percent(one) for part in parts for one in part), "" if spread > 1 else percent(held)]
            )


def show_prior(noises: Sequence[Series | Made]) -> None:
    """What the limit on the neighbours' say costs and saves."""
    print("\nThree rounds of 20 visits, by the most degrees of freedom from neighbours\n")
    head("noise", "cells apart", "most", "holds", "A/A names", "finds 10 %")
    for one in noises:
        for spread in (1.0, 3.0):
            logs, windows = runs(one, 3, 20, RUNS, seed=3, spread=spread)
            for scales, name in ((windows, ""), (np.ones_like(windows), ", windows left out")):
                for most in (MOST_PRIOR, 1e6):
                    told = found(lambda y, w, m=most: moderated(y, w, m), logs, scales)
                    row(
                        [
                            one.name,
                            f"{spread:g}",
                            f"{most if most < 100 else 'no limit'}{name}",
                            percent(told.holds),
                            percent(told.false),
                            percent(told.power),
                        ]
                    )


def show_allotment(noises: Sequence[Series]) -> None:
    """How many visits a process are best: a start takes about 6 s, a visit 0.35 s with its untimed step."""
    print("\nBest number of visits, a start of 6 s and a visit of 0.35 s\n")
    head("noise", "between processes, %", "between windows, %", "visits")
    for one in noises:
        process, window = one.variances
        row(
            [
                one.name,
                percent(math.sqrt(process)),
                percent(math.sqrt(window)),
                f"{best_visits(6, 0.35, process, window):.0f}",
            ]
        )


def main() -> None:
    series = recorded()
    turns: list[Series | Made] = [QUIET, *(one for one in series if one.in_turn)]
    show_locations([QUIET, *series])
    for one in turns:
        show_grid(one)
    show_grid(turns[-1], 3.0)
    show_prior(turns)
    show_allotment([one for one in series if one.in_turn])


if __name__ == "__main__":
    main()
