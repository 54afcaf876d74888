"""Collect the waits of honest cells from a run beside busy processes, as data of the tests of the wait check.

for core in 0 1; do taskset -c $core sh -c 'while :; do :; done' & done
python -m bench run --precision fp32 --repeats 3 --min-time 12 --no-proof --no-report --no-ceilings --out RUN
python scripts/waits.py RUN tests/data/waits-busy.json
"""

import json
import sys
from pathlib import Path

from bench import store


def collect(folder: Path) -> dict[str, object]:
    """Seconds of each window, of the reading behind it and of its control, by cell."""
    run, cells = store.load(folder), dict[str, list[list[float]]]()
    for found in run.records:
        name = f"{found['cell']['workload']} {found['cell']['impl']}"
        rows = [[w["seconds"], w["rewait_s"], w["control_s"]] for w in found["windows"]]
        cells.setdefault(name, []).extend([[float(f"{value:.4g}") for value in row] for row in rows])
    machine, load = run.meta["machine"], run.meta["load"]
    what = (
        f"windows of honest cells (tiny, fp32) beside busy processes: {machine['cpu']}, {load['cores']} cores; "
        f"others used {load['foreign_cores']:.1f}, load {load['load_1min']}"
    )
    return {"what": what, "columns": ["window_s", "rewait_s", "control_s"], "cells": dict(sorted(cells.items()))}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(collect(Path(sys.argv[1]))).replace("]], ", "]],\n") + "\n")
