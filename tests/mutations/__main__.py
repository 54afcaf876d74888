"""Plant every mistake in every framework in turn, and see that `bench verify` catches it.

    python -m tests.mutations [FRAMEWORK …] [--only MISTAKE] [--table docs/parity.md]

Prints the largest difference that `bench verify` finds for each; exit 1 if one is not caught, or does not run.
With --table the figures replace the table between the file's two marks.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import manifests, plan, proofs, show, verify, workloads
from bench.launch import Launcher
from bench.machine import physical_cores
from bench.manifests import Manifest
from bench.parity import Trace
from bench.plan import Choice
from bench.spec import Cell, Request
from tests.mutations.mistakes import MISTAKES, Edit, Mistake

MARKS = ("<!-- mutations: made by `python -m tests.mutations --table docs/parity.md` -->", "<!-- end of mutations -->")
PACKAGE = "mutants"


@dataclass(kw_only=True)
class Laboratory:
    """Honest implementations, whose traces are kept, and a folder of mutants."""

    folder: Path
    traces: dict[Cell, Trace] = field(default_factory=dict[Cell, Trace])

    def verify(self, mistake: Mistake, mutant: Manifest | None) -> dict[str, verify.Row]:
        """What `bench verify` says of each framework in float64, one of them replaced by a mutant."""
        honest = manifests.find()
        choice = Choice(workload=(mistake.workload,), size="tiny", precision=("fp64",), optimizer=mistake.optimizer)
        batch = workloads.get(mistake.workload, mistake.size).batch
        cells = [
            replace(cell, size=mistake.size, global_batch=batch, batch_per_device=batch)
            for cell in plan.plan_cells(choice, honest)
        ]
        used = honest | ({mutant.name: mutant} if mutant else {})
        with Launcher(used, cold=False) as launcher:

            def run(cell: Cell, steps: int) -> Trace:
                if mutant and cell.impl == mutant.name:
                    return self.trace(launcher, cell, steps)
                if cell not in self.traces:
                    self.traces[cell] = self.trace(launcher, cell, steps)
                return self.traces[cell]

            rows = verify.verify_workload(cells, verify.STEPS[mistake.size], run, used)
        return {row.cell.impl: row for row in rows}

    def trace(self, launcher: Launcher, cell: Cell, steps: int) -> Trace:
        cores = physical_cores()
        request = Request(cell=cell, task="trace", folder="", threads=len(cores), cpus=cores)
        return proofs.run_trace(launcher, cell, steps, request, 300.0, self.folder / "log")

    def plant(self, impl: str, name: str, edits: Sequence[Edit]) -> Manifest:
        """A copy of an implementation with the edits made in it."""
        module = f"{impl}_{name.replace('-', '_')}"
        target = self.folder / PACKAGE / module
        shutil.copytree(manifests.find()[impl].folder, target, ignore=shutil.ignore_patterns("__pycache__"))
        for edit in edits:
            path = target / edit.file
            text = path.read_text(encoding="utf-8")
            if text.count(edit.old) != 1:
                raise ValueError(f"{impl} {name}: {edit.file} holds {text.count(edit.old)} of {edit.old!r}, not one")
            path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
        importlib.invalidate_caches()
        return manifests.read(impl, f"{PACKAGE}.{module}")


def attempt(laboratory: Laboratory, impl: str, name: str, edits: Sequence[Edit]) -> tuple[bool, str]:
    """Whether a planted mistake was caught, and the largest difference that it made."""
    row = laboratory.verify(MISTAKES[name], laboratory.plant(impl, name, edits))[impl]
    if row.difference is None:
        return False, f"did not run: {row.reason}"
    return not row.equal, f"{row.difference.largest:.1e}"


def main(impls: Sequence[str], only: str | None, table: Path | None) -> int:
    found: dict[str, dict[str, str]] = {name: {} for name in MISTAKES if only in (None, name)}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="samestep-mutants-") as folder:
        os.environ |= {"PYTHONPATH": folder, "SAMESTEP_CACHE": folder}  # cells find the mutants, and no proof is kept
        sys.path.insert(0, folder)
        laboratory = Laboratory(folder=Path(folder))
        for impl in impls:
            edits_of = importlib.import_module(f"tests.mutations.{impl}").EDITS
            for name, told in found.items():
                edits = edits_of[name]
                if isinstance(edits, str):
                    told[impl] = "–"
                    continue
                caught, told[impl] = attempt(laboratory, impl, name, edits)
                failures += not caught
                print(f"{impl} {name}: {'caught' if caught else 'NOT CAUGHT'}, {told[impl]}", flush=True)
    show.rows(("mistake", *impls), [(name, *(told[impl] for impl in impls)) for name, told in found.items()])
    if table:
        write_table(table, impls, found)
    print(f"{failures} not caught" if failures else "all caught")
    return 1 if failures else 0


def write_table(path: Path, impls: Sequence[str], found: dict[str, dict[str, str]]) -> None:
    """Replace what stands between the two marks of a Markdown file."""
    before, rest = path.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    lines = [f"| mistake | seen in | {' | '.join(impls)} |", f"|---|---|{'---|' * len(impls)}"]
    for name, told in found.items():
        mistake = MISTAKES[name]
        where = f"{mistake.workload} {mistake.optimizer}" if mistake.optimizer else mistake.workload
        lines.append(f"| {mistake.text} | {where} | {' | '.join(told[impl] for impl in impls)} |")
    path.write_text(f"{before}{MARKS[0]}\n{chr(10).join(lines)}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("impls", nargs="*", default=manifests.BUILT_IN)
    parser.add_argument("--only", choices=MISTAKES)
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    sys.exit(main(given.impls, given.only, given.table))
