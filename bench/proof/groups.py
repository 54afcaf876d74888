"""Results of whole groups of cells that compute one function: kept, shipped with the package, taken over, sampled.

A group's result is kept under the SHA-256 of all that it depends on: every traced cell with its source and versions,
the data, the steps, the code that draws and compares. The process that runs the steps (`bench.worker`) is not in it;
an error there shows in any sample.
"""

import functools
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bench import data, workloads
from bench.manifests import Manifest
from bench.plan import Choice
from bench.proof import cache, proofs, scope
from bench.proof.parity import Difference
from bench.spec import Cell, digest

KIND = "groups"
SHARE = 0.1  # of the groups, beside one of each workload
FIGURES = ("loss", "param", "slot")
# Rounding differs between processors by one or two orders of magnitude; a figure further off is of another trace.
FIGURE_RATIO, LEAST_FIGURE = 1e4, 1e-15
BENCH = Path(__file__).parents[1]
JUDGING = ("proof/parity.py", "verify.py", "data/__init__.py", "data/draw.py")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell's part of the proof: how far it lies from the others, and whether that is near enough."""

    cell: Cell
    steps: int
    equal: bool
    against: str
    difference: Difference | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cells that compute one function and are compared with one another."""

    cells: tuple[Cell, ...]
    steps: int
    traced: tuple[Cell, ...]  # of these the cells, and what they are compared with
    key: str


def plan_groups(choice: Choice, steps: int | None, manifests: Mapping[str, Manifest]) -> list[Group]:
    """The groups of the cells to prove; `steps` replaces each size's own number."""
    planned = [tuple(group) for _, group in groupby(scope.plan_cells(choice, manifests), key=scope.function)]
    return [group_of(cells, steps or scope.STEPS[cells[0].size], manifests) for cells in planned]


def group_of(cells: Sequence[Cell], steps: int, manifests: Mapping[str, Manifest]) -> Group:
    traced = tuple(scope.traced(cells, manifests))
    return Group(cells=tuple(cells), steps=steps, traced=traced, key=group_key(traced, steps, manifests))


def group_key(traced: Iterable[Cell], steps: int, manifests: Mapping[str, Manifest]) -> str:
    """What the group's result depends on: anything else in it is another key."""

    def of(cell: Cell) -> dict[str, Any]:
        manifest = manifests[cell.impl]
        source = proofs.source_hash(manifest, cell.workload)
        drawn_from = workloads.get(cell.workload, cell.size).data
        return {
            "cell": asdict(cell),
            "source": source,
            "software": manifest.software(),
            "data": data.data_hash(drawn_from),
        }

    return digest({"traced": [of(cell) for cell in traced], "steps": steps, "judging": judging_hash()})


@functools.cache
def judging_hash() -> str:
    """SHA-256 over the source that draws batches and parameters, and compares traces."""
    return digest([[name, hashlib.sha256((BENCH / name).read_bytes()).hexdigest()] for name in JUDGING])


def keep(group: Group, rows: Sequence[Row]) -> None:
    """Keep the result of a group whose rows are all equal."""
    if rows and all(row.equal for row in rows):
        cache.save(KIND, group.key, {"steps": group.steps, "rows": {row.cell.id: figures(row) for row in rows}})


def figures(row: Row) -> dict[str, Any]:
    """What a row adds to its cell, as plain data."""
    assert row.difference is not None, row
    numbers = {name: getattr(row.difference, name) for name in FIGURES}
    told = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return {**told, "against": row.against}


def taken_over(group: Group) -> list[Row] | None:
    """The rows of a group's shipped result; None if none is valid for what is installed here."""
    kept = cache.shipped(KIND).get(group.key)
    if kept is None or kept["rows"].keys() != {cell.id for cell in group.cells}:
        return None
    return [row_of(cell, group.steps, kept["rows"][cell.id]) for cell in group.cells]


def row_of(cell: Cell, steps: int, kept: Mapping[str, Any]) -> Row:
    numbers = {name: math.nan if kept[name] is None else kept[name] for name in FIGURES}
    difference = Difference(**numbers, worst="")
    return Row(cell=cell, steps=steps, equal=True, against=kept["against"], difference=difference)


def sample(groups: Sequence[Group], text: str, share: float = SHARE) -> list[Group]:
    """Groups drawn by a text, such as a commit's: one of each workload, and a share of all."""

    def lot(group: Group) -> str:
        return digest([text, group.cells[0].id])

    drawn = sorted(groups, key=lot)
    first = {group.cells[0].workload: group for group in reversed(drawn)}.values()
    rest = [group for group in drawn if group not in first]
    return [*first, *rest[: math.ceil(share * len(groups))]]


def contradiction(shipped: Row, made: Row) -> str | None:
    """Why a shipped row cannot be a result of what was proven anew, or None."""
    if not made.equal:
        return f"shipped as equal, but now: {made.reason}"
    if shipped.against != made.against:
        return f"shipped as compared with {shipped.against}, now with {made.against}"
    if made.cell.precision != "fp64":
        return None  # how far rounding goes there depends on the processor
    before, now = figures(shipped), figures(made)
    for name in FIGURES:
        least, most = sorted(max(value[name], LEAST_FIGURE) for value in (before, now))
        if most > FIGURE_RATIO * least:
            return f"{name} shipped as {before[name]:.1e}, now {now[name]:.1e}"
    return None
