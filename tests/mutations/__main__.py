"""Plant every mistake in every framework in turn, and see that `bench verify` catches it.

    python -m tests.mutations [FRAMEWORK …] [--only MISTAKE] [--table docs/parity.md]

Prints the largest difference that `bench verify` finds for each; exit 1 if one is not caught, or does not run, or if
an edit that changes nothing is caught.
With --table the figures replace the table between the file's two marks.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import manifests, plan, show, verify
from bench.launch import Launcher
from bench.manifests import Manifest
from bench.plan import Choice
from bench.proof import proofs
from bench.proof.parity import Trace
from bench.spec import Cell
from tests.mutations.mistakes import CONTROL, HARMLESS, MISTAKES, NOTHING, Edit, Mistake

MARKS = ("<!-- mutations: made by `python -m tests.mutations --table docs/parity.md` -->", "<!-- end of mutations -->")
PACKAGE = "mutants"
KNOWN = {**MISTAKES, CONTROL: NOTHING}


@dataclass(kw_only=True)
class Laboratory:
    """Honest implementations, whose traces are kept, and a folder of mutants."""

    folder: Path
    launcher: Launcher
    honest: dict[Cell, "Future[Trace]"] = field(default_factory=dict[Cell, "Future[Trace]"])

    def try_all(self, names: Sequence[str], impls: Sequence[str]) -> dict[str, dict[str, tuple[bool, str]]]:
        """For each mistake and framework whether it was caught, and the largest difference that it made."""
        with verify.side_by_side(self.launcher, 300.0, lambda _: None) as submit:
            planted: dict[tuple[str, str], tuple[Manifest, Future[Trace]]] = {}
            for name in names:
                mistake = KNOWN[name]
                for cell in cells_of(mistake):
                    honest = cell.on_one_device()
                    if honest not in self.honest:
                        self.honest[honest] = submit(honest, mistake.steps)
                    if cell.impl not in impls:
                        continue
                    edits = edits_of(cell.impl)[name]
                    if not isinstance(edits, str):
                        mutant = self.plant(cell.impl, name, edits)
                        planted[name, cell.impl] = mutant, submit(cell, mistake.steps, mutant)
            return {
                name: {impl: self.judge(KNOWN[name], *planted[name, impl]) for impl in impls if (name, impl) in planted}
                for name in names
            }

    def judge(self, mistake: Mistake, mutant: Manifest, trace: "Future[Trace]") -> tuple[bool, str]:
        """What `bench verify` says of a mutant among the honest."""
        cells = cells_of(mistake)

        def run(cell: Cell, _: int) -> Trace:
            return (trace if cell.impl == mutant.name else self.honest[cell.on_one_device()]).result()

        rows = verify.verify_workload(cells, mistake.steps, run, {**manifests.find(), mutant.name: mutant})
        (row,) = [row for row in rows if row.cell.impl == mutant.name]
        if row.difference is None:
            return False, f"did not run: {row.reason}"
        return not row.equal, f"{row.difference.largest:.1e}"

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


def cells_of(mistake: Mistake) -> list[Cell]:
    """The float64 cells of all frameworks, in their default variants, that a mistake is judged by."""
    choice = Choice(workload=(mistake.workload,), size="tiny", precision=("fp64",), optimizer=mistake.optimizer)
    cells = [proofs.at_size(cell, mistake.size) for cell in plan.plan_cells(choice, manifests.find())]
    return [
        replace(
            cell,
            devices=mistake.devices,
            batch_per_device=cell.global_batch // mistake.devices,
            norm_groups=mistake.norm_groups,
            engine="distributed" if mistake.devices > 1 else "plain",
        )
        for cell in cells
    ]


def edits_of(impl: str) -> Mapping[str, Sequence[Edit] | str]:
    return {**importlib.import_module(f"tests.mutations.{impl}").EDITS, CONTROL: [HARMLESS]}


@contextmanager
def laboratory() -> Generator[Laboratory]:
    """A place to plant mistakes in, which is removed with all that was made there."""
    with tempfile.TemporaryDirectory(prefix="samestep-mutants-") as folder:
        os.environ |= {"PYTHONPATH": folder, "SAMESTEP_CACHE": folder}  # cells find the mutants, and no proof is kept
        sys.path.insert(0, folder)
        with Launcher(manifests.find(), cold=False) as launcher:
            yield Laboratory(folder=Path(folder), launcher=launcher)
        sys.path.remove(folder)


def main(impls: Sequence[str], only: str | None, table: Path | None) -> int:
    names = [only] if only else list(MISTAKES)
    with laboratory() as place:
        found = place.try_all([*names, CONTROL], impls)
    honest = found.pop(CONTROL)
    wrong = [
        f"WRONG: {impl}, an edit that changes nothing: {said}"
        for impl, (caught, said) in honest.items()
        if caught or "run" in said
    ]
    failures = [f"{impl} {name}" for name in names for impl, (caught, _) in found[name].items() if not caught]
    told = {name: {impl: found[name].get(impl, (True, "–"))[1] for impl in impls} for name in names}
    show.rows(("mistake", *impls), [(name, *told[name].values()) for name in names])
    if table:
        write_table(table, impls, told)
    count = sum(len(of) for of in found.values())
    print(
        f"{count - len(failures)} of {count} caught",
        *(f"NOT CAUGHT: {failure}" for failure in failures),
        *wrong,
        sep="\n",
    )
    return 1 if failures or wrong else 0


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
