"""Make the table of drifts that ships with the package: how far each default cell on a processor is from float64.

    python scripts/drifts.py [--all]

For each workload, framework and precision that `bench run` measures by default at `tiny` on a processor it traces 100
steps, in its own precision and in float64, and writes the difference of the losses into
`bench/proof/shipped/drifts.json` under the key of all that it depends on. Keys that are there already are kept, unless
`--all` is given; those of other sources or versions are dropped. Two cores take about five minutes for all.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import manifests, plan
from bench.launch import Launcher
from bench.machine.fingerprint import fingerprint
from bench.manifests import Manifest
from bench.plan import Choice
from bench.proof import cache, drift
from bench.proof.gathering import Traces
from bench.runner import Runner
from bench.spec import Cell

PATH = cache.SHIPPED / "drifts.json"
TIMEOUT_S = 600.0
DIGITS = 6  # of what is shown and never compared


def main(arguments: list[str]) -> None:
    found = manifests.find()
    if absent := [manifest.absence for manifest in found.values() if not manifest.installed]:
        sys.exit(f"drifts are made where every framework is installed: {absent[0]}")
    cells = plan.plan_cells(Choice(size="tiny", platform="cpu"), found)
    kept = {} if "--all" in arguments or not PATH.exists() else json.loads(PATH.read_text(encoding="utf-8"))
    keys = {cell: drift.drift_key(found[cell.impl], cell) for cell in cells if drift.has_drift(cell)}
    table = {key: kept[key] for key in keys.values() if key in kept}
    write(table)
    for key, one in make({cell: key for cell, key in keys.items() if key not in table}, found):
        table[key] = one
        write(table)  # so that a script that was ended goes on where it was
    print(f"{PATH}: {len(table)} drifts")


def write(table: Mapping[str, Any]) -> None:
    lines = [f"{json.dumps(key)}: {json.dumps(table[key], sort_keys=True)}" for key in sorted(table)]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def make(keys: Mapping[Cell, str], found: Mapping[str, Manifest]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of cells, with their keys; nothing of the user's cache is looked up."""
    with tempfile.TemporaryDirectory() as folder, Launcher(found, cold=False) as launcher:
        os.environ["SAMESTEP_CACHE"] = str(Path(folder) / "cache")
        (Path(folder) / "logs").mkdir()
        runner = Runner(launcher=launcher, folder=Path(folder), manifests=found, min_time_s=1.0, timeout_s=TIMEOUT_S)
        traces = Traces(tracer=runner, report=lambda text: print(text, flush=True), limit_s=None)
        for cell, key in keys.items():
            yield key, entry(cell, drift.make_drift(cell, found[cell.impl], found, traces.run))


def entry(cell: Cell, made: dict[str, Any]) -> dict[str, Any]:
    """What a record shows of a drift, and where it was traced; a record has losses of its own."""
    price = made["drift"]
    shares = [float(f"{share:.{DIGITS}g}") for share in price["rel_loss_diff"]]
    shown = {
        "rel_loss_diff": shares,
        "max_rel_loss_diff": max(shares),
        "last_rel_loss_diff": sum(shares[-drift.LAST :]) / drift.LAST,
        "reference": f"{price['reference']} (shipped, traced on {fingerprint()['cpu']})",
    }
    return {
        "cell": f"{cell.label} {cell.optimizer} batch {cell.global_batch} seed {cell.seed}",
        "reference_losses": made["reference_losses"],
        "drift": price | shown,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
