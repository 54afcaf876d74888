"""How long cells on several emulated devices take, and where the time goes.

    python benchmarks/devices.py cells            an 8-device `tiny` cell of each framework and workload
    python benchmarks/devices.py sweep [FOLDER]   `python -m bench run --impl all --devices 8`, all of it

Of a cell: from the decision to run it to its end. `import` is that of the framework, which a run pays once; `else` is
what lies outside of the phases: starting and ending the processes, and waiting for the last of them.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import manifests, plan
from bench.launch import Launcher
from bench.machine.fingerprint import cpu_model
from bench.machine.processor import physical_cores
from bench.plan import Choice, Job
from bench.runner import Runner

DEVICES = 8
LIMITS_S = {"torch": 15, "jax": 15, "tf": 25}
SWEEP_LIMIT_S = 12 * 60  # with proofs and references at hand


def main(what: str = "cells", folder: str | None = None) -> None:
    print(f"machine: {cpu_model()}, {len(physical_cores())} physical core(s)")
    if what == "cells":
        cells()
    else:
        sweep(Path(folder) if folder else Path(tempfile.mkdtemp()) / "run")


def cells() -> None:
    """Print the seconds of each cell by phase; the framework is imported before."""
    found = manifests.find()
    chosen = plan.plan_cells(Choice(precision=("fp32",), device_counts=(DEVICES,), platform="cpu"), found)
    with tempfile.TemporaryDirectory() as place, Launcher(found, cold=False) as launcher:
        (Path(place) / "logs").mkdir()
        runner = Runner(
            launcher=launcher, folder=Path(place), manifests=found, min_time_s=1.0, timeout_s=300.0
        )  # fmt: skip
        for cell in (cell for cell in chosen if found[cell.impl].installed):
            if cell.devices == 1:  # imports the framework
                runner.measure(Job(cell=cell, repeat=1))
                continue
            begin = time.perf_counter()
            outcome = runner.measure(Job(cell=cell, repeat=0))
            total = time.perf_counter() - begin
            phases = {name: spent for name, spent in outcome.fields["phases_s"].items() if name != "import"}
            phases["else"] = total - sum(phases.values())
            told = ", ".join(f"{name} {spent:.1f}" for name, spent in phases.items())
            limit = LIMITS_S.get(cell.impl)
            print(f"{cell.label}: {outcome.fields['status']} in {total:.1f} s (limit {limit}): {told}", flush=True)


def sweep(folder: Path) -> None:
    """Run the command twice if proofs are missing, so that the second has them; print the time of each, by kind."""
    for attempt in ("first", "again, with all proofs at hand"):
        target = folder.with_name(f"{folder.name}-{attempt.split(',')[0]}")
        command = [
            sys.executable,
            "-m",
            "bench",
            "run",
            "--impl",
            "all",
            "--devices",
            str(DEVICES),
            "--platform",
            "cpu",
        ]
        begin = time.perf_counter()
        done = subprocess.run([*command, "--out", str(target)], capture_output=True, text=True)
        total = time.perf_counter() - begin
        records = [json.loads(line) for line in (target / "records.jsonl").read_text().splitlines()]
        ends = Counter((found["status"], found["parity"]["verdict"]) for found in records)
        print(
            f"{attempt}: exit {done.returncode} after {total / 60:.1f} min (limit {SWEEP_LIMIT_S / 60:.0f} with proofs)"
        )
        print(f"  {len({found['cell_id'] for found in records})} cells, {len(records)} records: {dict(ends)}")
        spent: Counter[str] = Counter()
        for found in records:
            for phase in ("init", "compile"):
                spent[phase] += (found["phases_s"] or {}).get(phase) or 0.0
            spent["windows"] += sum(window["seconds"] for window in found["windows"] or [])
            spent["latency"] += sum(found["latency_s"] or [])
        print("  " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
