"""How noisy a machine is, from runs on it: what the simulations of the statistics take as their noise.

    python -m bench run --impl jax,torch --workload autoencoder,gan --repeats 12 --no-report --out RUN
    python benchmarks/noise.py RUN…
    python benchmarks/noise.py RUN --series NAME --noise quiet    # a file of its windows for benchmarks/coverage.py

A logarithm of a step's time is taken as cell + round + process: medians are taken out in turn until they stand still
(Tukey's median polish), spreads are 1.4826 times median distances, so that slow stretches and hit processes do not
count as spread but as what they are: `spikes`, the share of processes more than four spreads slower, and how much.
"""

import argparse
import json
import math
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import metrics, store
from benchmarks.series import FOLDER


def table(folder: Path) -> NDArray[np.float64]:
    """Logarithms of step times, cells by rounds, over the rounds in which every cell is ok."""
    by_cell: dict[str, dict[int, float]] = {}
    for record in store.load(folder).records:
        if record["status"] == "ok" and (step := metrics.step_s(record)):
            by_cell.setdefault(record["cell_id"], {})[record["repeat"]] = math.log(step)
    rounds = sorted(set.intersection(*(set(values) for values in by_cell.values())))
    return np.array([[values[one] for one in rounds] for values in by_cell.values()])


def series(folder: Path, noise: str) -> dict[str, object]:
    """A run's windows as `benchmarks/series.py` reads them: processes as long as the shortest."""
    ok = [record for record in store.load(folder).records if record["status"] == "ok"]
    cells: dict[str, list[list[float]]] = {}
    least = min(len(record["windows"]) for record in ok)
    for record in ok:
        steps = [window["seconds"] / window["steps"] for window in record["windows"][:least]]
        cells.setdefault(f"{record['cell']['workload']}-{record['cell']['impl']}", []).append(steps)
    machine = ok[0]["machine"]
    gaps = [b["begin_s"] - a["begin_s"] - a["seconds"] for r in ok for a, b in pairwise(r["windows"])]
    return {
        "what": f"step times in seconds of a run, {least} windows a process",
        "machine": f"{machine['cpu']}, {machine['cores_logical']} cores",
        "noise": noise,
        "in_turn": float(np.median(gaps)) > 1.0,  # windows back to back have one untimed step between them
        "cells": {name: [[float(f"{one:.6g}") for one in row] for row in rows] for name, rows in cells.items()},
    }


def spread(values: NDArray[np.float64]) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def show(folder: Path) -> None:
    rest = table(folder)
    cells, count = rest.shape
    of_round = np.zeros(count)
    for _ in range(20):
        rest = rest - np.median(rest, axis=1, keepdims=True)
        middle = np.median(rest, axis=0)
        of_round, rest = of_round + middle, rest - middle
    process = spread(rest) * math.sqrt(cells * count / ((cells - 1) * (count - 1)))
    hit = rest > 4 * process
    size = math.expm1(rest[hit].mean()) if hit.any() else 0.0
    print(f"{folder}: {cells} cells in {count} rounds")
    print(f"  spread of processes {process:.3f}, of rounds {spread(of_round):.3f} (logarithm)")
    print(f"  spikes {hit.mean():.3f} of processes, {100 * size:.0f} % slower")


def main() -> None:
    parser = argparse.ArgumentParser(description="How noisy a machine is, from runs on it")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--series", help="write the run's windows to benchmarks/noise_series/NAME.json")
    parser.add_argument("--noise", choices=("quiet", "busy"), default="busy", help="which the machine was")
    given = parser.parse_args()
    for run in given.runs:
        show(run)
    if given.series:
        text = json.dumps(series(given.runs[0], given.noise), indent=1)
        (FOLDER / f"{given.series}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
