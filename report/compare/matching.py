"""Which cells stand against which: only what trains the same thing is ever compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.record import HARMLESS
from report.cells import CELL, PRECISIONS, Cell, Group, framework_order, grouped, groups
from report.frame import Row

FREE = {"impl": ("impl", "variant", "kernels"), "precision": ("precision",), "variant": ("variant",)}
STATES = {
    "start": "started",
    "threads_intra": "threads",
    "compile_cache": "compile cache",
}  # that must not differ unsaid


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two cells that train the same thing, and what else differs between them."""

    group: Group
    base: Cell
    new: Cell
    cautions: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Matching:
    """The pairs of two sides, and what has no partner."""

    pairs: Sequence[Pair]
    added: Sequence[str] = field(default_factory=list[str])
    removed: Sequence[str] = field(default_factory=list[str])
    unlike: Sequence[str] = field(default_factory=list[str])  # the same cell, other mathematics
    failing: Sequence[str] = field(default_factory=list[str])  # in NEW, where BASE was ok
    diverged: Sequence[str] = field(default_factory=list[str])  # in NEW, where BASE had not


Key = tuple[str, str | None]
Cells = Mapping[Key, tuple[Group, Cell]]


def match_runs(base: Sequence[Row], new: Sequence[Row]) -> Matching:
    """Cells of the rows of two runs, by their identity and by what they train."""
    old, now = by_key(base), by_key(new)
    common = [key for key in old if key in now]
    there = {identity for identity, _ in now}
    unlike = [key for key in old if key not in now and key[0] in there]
    gone = {key[0] for key in unlike}
    pairs = [Pair(group=old[key][0], base=old[key][1], new=now[key][1]) for key in common]
    return Matching(
        pairs=[with_cautions(pair) for pair in pairs if comparable(pair.base) and comparable(pair.new)],
        added=[name(*now[key]) for key in now if key not in old and key[0] not in gone],
        removed=[name(*old[key]) for key in old if key not in now and key[0] not in gone],
        unlike=[name(*old[key]) for key in unlike],
        failing=[f"{name(*now[pair_key])}: {why}" for pair_key in common if (why := newly_failing(old, now, pair_key))],
        diverged=[
            f"{name(*now[key])}: {now[key][1].verdict_row['verdict_reason'] or 'no reason was recorded'}"
            for key in common
            if is_diverged(now[key][1]) and not is_diverged(old[key][1])
        ],
    )


def match_within(run: pd.DataFrame, by: str, base: str | None) -> Matching:
    """Cells of one run that differ in one thing alone, each against the base of its kind."""
    kinds: dict[str, list[tuple[Group, Cell]]] = {}
    for group, cell in each(groups(run)):
        row = cell.rows[0]
        same = [row[one] for one in (*CELL, "spec_hash") if one not in FREE[by]]
        kinds.setdefault(repr(same), []).append((group, cell))
    pairs: list[Pair] = []
    for members in kinds.values():
        ordered = sorted(members, key=lambda pair: order(by, pair[1].rows[0]))
        first = next(((g, c) for g, c in ordered if base in (None, c.rows[0][by])), None)
        pairs += [
            with_cautions(Pair(group=group, base=first[1], new=cell))
            for group, cell in ordered
            if first and cell.rows[0][by] != first[1].rows[0][by] and comparable(first[1]) and comparable(cell)
        ]
    return Matching(pairs=pairs)


def order(by: str, row: Row) -> tuple[object, ...]:
    """The base comes first: the first framework, the most exact precision, the first variant by the alphabet."""
    value = str(row[by])
    if by == "impl":
        return (*framework_order(value), str(row["variant"]))
    return (PRECISIONS.index(value) if value in PRECISIONS else len(PRECISIONS), value)


def by_key(plain: Sequence[Row]) -> Cells:
    return {(cell.id, group.first["spec_hash"]): (group, cell) for group, cell in each(grouped(plain))}


def each(found: Iterable[Group]) -> list[tuple[Group, Cell]]:
    return [(group, cell) for group in found for cell in group.cells]


def comparable(cell: Cell) -> bool:
    """Whether it ran, and trained what it should."""
    return cell.ranked


def is_diverged(cell: Cell) -> bool:
    return bool(cell.ok) and cell.verdict == "diverged"


def newly_failing(old: Cells, now: Cells, key: Key) -> str | None:
    """How a cell failed that was ok before; a repeat that failed counts, what could only not run here does not."""
    before, after = old[key][1], now[key][1]
    if not before.ok or len(before.ok) < len(before.rows):
        return None
    bad = [row for row in after.rows if row["status"] not in HARMLESS]
    if not bad:
        return None
    return f"{bad[0]['status'] or '?'}{', ' + bad[0]['reason'] if bad[0]['reason'] else ''}"


def with_cautions(pair: Pair) -> Pair:
    found = [
        f"{label}: {told(pair.base, column)} against {told(pair.new, column)}"
        for column, label in STATES.items()
        if states(pair.base, column) != states(pair.new, column)
    ]
    return Pair(group=pair.group, base=pair.base, new=pair.new, cautions=found)


def states(cell: Cell, column: str) -> set[str]:
    return {str(row[column]) for row in cell.ok if row[column] is not None}


def told(cell: Cell, column: str) -> str:
    return " and ".join(sorted(states(cell, column))) or "not recorded"


def name(group: Group, cell: Cell) -> str:
    return f"{group.title}, {cell.label}, {group.setting}"
