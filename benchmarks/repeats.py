"""How many repeats it takes to find a slow-down, and how long an interval with a target takes: by simulation.

    python benchmarks/repeats.py

A logarithm of a step's time is cell + round + process, as `benchmarks/noise.py` measures it, with some processes hit
by something else on the machine. All is done for many simulated runs at once, by the formulas of `bench.stats` and
`bench.stats.compare`; tests/unit/test_stats_simulation.py shows that they give the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[np.float64]
SLOWER = 0.10  # the planted slow-down
POWER = 0.8
TABLES = (1, 9, 18, 100)  # cells in a table; Holm asks p ≤ 0.05 / cells of one that differs among others that do not
SIMULATIONS = 4000
MOST = 120


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Of logarithms: spreads of processes and of rounds, and which share of processes is hit by how much."""

    process: float
    round: float
    hit_share: float = 0.0
    hit: float = 0.0

    def draw(self, rng: np.random.Generator, cells: int, rounds: int, runs: int) -> Array:
        """Logarithms, runs × cells × rounds; a round's effect is the same for all cells of a run."""
        shape = (runs, cells, rounds)
        common = self.round * rng.standard_normal((runs, 1, rounds))
        return common + self.process * rng.standard_normal(shape) + self.hit * (rng.random(shape) < self.hit_share)

    @property
    def mean(self) -> float:
        return self.hit_share * self.hit


# python benchmarks/noise.py, 2026-11-23, AMD EPYC with 2 cores: eight cells, twelve rounds, nothing else running
QUIET = Noise(process=0.013, round=0.012, hit_share=0.073, hit=math.log(1.11))
# The same while other programs ran on the cores: the quietest of four such runs
BUSY = Noise(process=0.045, round=0.103, hit_share=0.042, hit=math.log(1.29))


def p_paired(new: Array, base: Array) -> Array:
    """P values of Student's t on differences, over the last axis."""
    difference, count = new - base, new.shape[-1]
    t = difference.mean(-1) / (difference.std(-1, ddof=1) / math.sqrt(count))
    return 2 * stdtr(count - 1, -np.abs(t))


def p_welch(new: Array, base: Array) -> Array:
    """P values of Welch's t, over the last axis."""
    count = new.shape[-1]
    part_n, part_b = new.var(-1, ddof=1) / count, base.var(-1, ddof=1) / count
    freedom = (part_n + part_b) ** 2 * (count - 1) / (part_n**2 + part_b**2)
    return 2 * stdtr(freedom, -np.abs(new.mean(-1) - base.mean(-1)) / np.sqrt(part_n + part_b))


def p_values(noise: Noise, repeats: int, method: str, slower: float, runs: int, seed: int) -> Array:
    """Of one comparison in each of many runs: in one run paired, between two runs by Welch."""
    rng = np.random.default_rng(seed)
    if method == "paired":
        new, base = np.moveaxis(noise.draw(rng, 2, repeats, runs), 1, 0)
        return p_paired(new + math.log1p(slower), base)
    new, base = (noise.draw(rng, 1, repeats, runs)[:, 0] for _ in range(2))
    return p_welch(new + math.log1p(slower), base)


def repeats_needed(noise: Noise, method: str, cells: int) -> int | None:
    """The fewest repeats from which on the planted slow-down is found often enough; None above `MOST`."""

    def found(repeats: int) -> float:
        p = p_values(noise, repeats, method, SLOWER, SIMULATIONS, seed=repeats)
        return float((p <= 0.05 / cells).mean())

    return next((repeats for repeats in range(3, MOST) if found(repeats) >= POWER), None)


def stops(logs: Array, target: float, least: int, most: int) -> NDArray[np.int64]:
    """After how many values each row's interval is as narrow as the target for the first time, `most` if never."""
    counts = np.arange(1, most + 1)
    sums, squares = np.cumsum(logs[:, :most], 1), np.cumsum(logs[:, :most] ** 2, 1)
    variance = np.maximum(squares - sums**2 / counts, 0)[:, 1:] / (counts[1:] - 1)
    width = np.expm1(stdtrit(counts[1:] - 1, 0.975) * np.sqrt(variance / counts[1:]))
    reached = (width <= target) & (counts[1:] >= least)
    reached[:, -1] = True
    return reached.argmax(1) + 2


def stopped_intervals(noise: float, target: float, least: int, most: int, runs: int, seed: int) -> tuple[float, Array]:
    """Share of stopped intervals that hold the truth, and after how many repeats they stopped."""
    logs = noise * np.random.default_rng(seed).standard_normal((runs, most))
    after = stops(logs, target, least, most)
    kept = np.where(np.arange(most) < after[:, None], logs, np.nan)
    mean, deviation = np.nanmean(kept, 1), np.nanstd(kept, 1, ddof=1)
    inside = np.abs(mean) <= stdtrit(after - 1, 0.975) * deviation / np.sqrt(after)
    return float(inside.mean()), after.astype(float)


def main() -> None:
    print(f"Repeats that find a slow-down of {SLOWER:.0%} in {POWER:.0%} of runs\n")
    print("| noise | comparison |", " | ".join(f"{cells} cells" if cells > 1 else "alone" for cells in TABLES), "|")
    print("|---|---|" + "---|" * len(TABLES))
    for name, noise in (("quiet", QUIET), ("busy", BUSY)):
        for method in ("paired", "welch"):
            print(f"| {name} | {method} |", " | ".join(str(repeats_needed(noise, method, n)) for n in TABLES), "|")
    show_stops(lambda ratio: stopped_intervals(0.02 * ratio, 0.02, 8, 20, 20_000, seed=8))


def show_stops(of: Callable[[float], tuple[float, Array]]) -> None:
    print("\nIntervals with a target of ± 2 %, at least 8 and at most 20 repeats\n")
    print("| noise | hold the truth | repeats, mean | target not reached before the cap |\n|---|---|---|---|")
    for ratio in (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0):
        held, after = of(ratio)
        print(f"| {2 * ratio:g} % | {100 * held:.1f} % | {after.mean():.1f} | {100 * (after == 20).mean():.0f} % |")


if __name__ == "__main__":
    main()
