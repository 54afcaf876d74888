"""Recorded noise, a file a series in benchmarks/noise_series/, and runs resampled from it.

To add one: `python benchmarks/noise.py RUN --series NAME --noise quiet` writes the file from a run's records.
A file holds `what` was measured, on which `machine`, whether its noise is `quiet` or `busy`, whether the cells took
turns (`in_turn`), and in `cells` a list of step times in seconds for each process.

Whole processes are resampled, each with a stretch of its windows in their order: so what processes and neighbouring
windows have in common stays. Each is first centred on its cell. The distance of a process from its cell's mean is
stretched by √(n / (n − 1)), as the mean of n processes is itself drawn towards them.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FOLDER = Path(__file__).parent / "noise_series"


@dataclass(frozen=True, kw_only=True)
class Series:
    """Logarithms of step times without their cells' means: a process a row, a window a column."""

    name: str
    noise: str
    in_turn: bool
    cells: dict[str, Array]
    pool: Array

    @property
    def variances(self) -> tuple[float, float]:
        """Between processes without the windows' part, and between the windows of a process."""
        windows = float(np.mean([rows.var(1, ddof=1).mean() for rows in self.cells.values()]))
        means = float(np.mean([rows.mean(1).var(ddof=1) for rows in self.cells.values()]))
        return max(means - windows / self.pool.shape[1], 0.0), windows

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], visits: int) -> Array:
        """Windows of processes: `shape` + (visits,). Beyond the recorded windows a process repeats them."""
        which, begin = rng.integers(len(self.pool), size=shape), rng.integers(self.pool.shape[1], size=shape)
        return self.pool[which[..., None], (begin[..., None] + np.arange(visits)) % self.pool.shape[1]]


@dataclass(frozen=True, kw_only=True)
class Made:
    """Noise made from a few figures, where there is no series."""

    name: str
    noise: str
    process: float  # spread between processes
    window: float  # spread between a process's windows
    hit_share: float  # of windows that something else hits
    hit: float  # by how much, a logarithm

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], visits: int) -> Array:
        windows = self.window * rng.standard_normal((*shape, visits))
        return (
            windows
            + self.process * rng.standard_normal((*shape, 1))
            + self.hit * (rng.random(windows.shape) < self.hit_share)
        )


# What `benchmarks/noise.py` measured with nothing else running: one process in 14 slower by 11 %. The processes then
# were windows back to back, so short that all of one is hit or none; of visits seconds apart each is hit on its own.
QUIET = Made(name="made, quiet", noise="quiet", process=0.013, window=0.02, hit_share=0.073, hit=math.log(1.11))


def load(path: Path) -> Series:
    found = json.loads(path.read_text())
    cells = {name: np.log(np.array(rows)) for name, rows in found["cells"].items()}
    return Series(
        name=path.stem, noise=found["noise"], in_turn=found["in_turn"], cells=cells,
        pool=np.concatenate([centred(rows) for rows in cells.values()]),
    )  # fmt: skip


def centred(rows: Array) -> Array:
    """A cell's processes around 0."""
    means, count = rows.mean(1, keepdims=True), len(rows)
    return rows - means + (means - means.mean()) * math.sqrt(count / (count - 1))


def recorded() -> list[Series]:
    """All series, by name."""
    return [load(path) for path in sorted(FOLDER.glob("*.json"))]
