"""From rows to cells, and from cells to groups: what is compared with what, and in which order it is shown.

A cell is all repeats of one point of the matrix. A group holds the cells that train the same thing in the same
numbers behind the same engine, and differ only in how: in framework, variant, kernels or arm. Only within a group is
anything ranked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.record import VERDICTS
from bench.stats import Estimate, holm
from bench.stats.compare import LEVEL, Comparison, compare_cells
from report.columns import CELL
from report.frame import Row, rows
from report.neighbours import BY_NAME, Neighbours, name_of

FRAMEWORKS = {"torch": "PyTorch", "tf": "TensorFlow", "jax": "JAX"}  # names for people, in the order shown
WORKLOADS = {"gan": "GAN", "autoencoder": "Autoencoder", "lm": "Language model"}
SIZES = ("tiny", "small", "base", "large")
PRECISIONS = ("fp64", "fp32", "tf32", "bf16", "fp16")
HOW = ("impl", "variant", "kernels", "arm")  # cells of a group differ in these
SAME = (*(name for name in CELL if name not in (*HOW, "batch_per_device")), "spec_hash")  # and agree in these
WORST_FIRST = ("diverged", "unchecked", "consistent", "proven")
LABEL_LENGTH = 40  # longer ones come from no framework that there is


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of one run: its label within its group, every repeat's row, and those that are ok."""

    label: str
    rows: Sequence[Row]
    ok: Sequence[Row]
    neighbours: Neighbours

    @property
    def id(self) -> str:
        return self.rows[0]["cell_id"] or "?"

    @property
    def impl(self) -> str:
        return self.rows[0]["impl"] or "?"

    @property
    def status(self) -> str:
        """`ok` if one repeat is, else the first repeat's."""
        return "ok" if self.ok else self.rows[0]["status"] or "?"

    @property
    def verdict(self) -> str:
        """The worst over the repeats that are ok; what is no verdict counts as unchecked."""
        found = [row["verdict"] if row["verdict"] in VERDICTS else "unchecked" for row in self.ok]
        return min(found, key=WORST_FIRST.index, default="unchecked")

    @property
    def verdict_row(self) -> Row:
        """The row that the verdict was taken from."""
        return next((row for row in self.ok if row["verdict"] == self.verdict), self.rows[0])

    @property
    def ranked(self) -> bool:
        """Whether it takes part in rankings: it ran, and its mathematics did not diverge."""
        return bool(self.ok) and self.verdict != "diverged"

    @property
    def repeats(self) -> str:
        """How many repeats went into a value, as in `3 repeats` or `2 of 3 repeats`."""
        total = len(self.rows)
        return plural(total, "repeat") if len(self.ok) == total else f"{len(self.ok)} of {plural(total, 'repeat')}"

    def losses(self) -> Mapping[str, Sequence[float]]:
        """Losses of the first steps in the first repeat that has them."""
        none: Mapping[str, Sequence[float]] = {}
        return next((row["losses"] for row in self.ok if row["losses"]), none)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cells that can be ranked against each other."""

    cells: Sequence[Cell]

    @property
    def first(self) -> Row:
        return self.cells[0].rows[0]

    @property
    def title(self) -> str:
        """Such as `GAN, tiny`."""
        workload = self.first["workload"] or "?"
        return short(f"{WORKLOADS.get(workload, workload)}, {self.first['size'] or '?'}")

    @property
    def setting(self) -> str:
        """What else its cells have in common, such as `fp32, batch 48, adam, 1 cpu device`."""
        return f"{short(self.precision)}, {self.common}"

    @property
    def precision(self) -> str:
        return self.first["precision"] or "?"

    @property
    def common(self) -> str:
        """The setting without the precision."""
        row = self.first
        kind = "emulated cpu" if emulated(row) else row["platform"] or "?"
        devices = plural(row["devices"] or 1, f"{kind} device")
        alone = row["engine"] == "distributed" and row["devices"] == 1
        parts = [f"batch {row['global_batch']}", row["optimizer"] or "?", devices, row["scaling"]]
        parts += ["input from the host"] if row["input"] == "host" else []
        parts += ["behind the engine for several"] if alone else []
        return ", ".join(short(str(part)) for part in parts if part)

    @property
    def ranked(self) -> list[Cell]:
        """Fastest first, by throughput; without those that failed, diverged or have no throughput."""
        rates = [
            (found.mean, cell) for cell in self.cells if cell.ranked and (found := estimate(cell, "throughput_per_s"))
        ]
        return [cell for _, cell in sorted(rates, key=lambda pair: -pair[0])]

    def unit(self, metric: str) -> str:
        """A metric's unit, with the word for what this group counts: `images/s`, `J/image`."""
        items = (row["item"] for cell in self.cells for row in cell.ok if row["item"])
        word, unit = short(next(items, "items")), BY_NAME[metric].unit
        return unit.replace("/item", f"/{word.removesuffix('s')}").replace("item", word)


def emulated(cell: Mapping[str, Any]) -> bool:
    """Whether a row's or cell's devices share the cores of a processor."""
    return cell["platform"] == "cpu" and (cell["devices"] or 1) > 1


def groups(frame: pd.DataFrame) -> list[Group]:
    """The groups of one run's frame, in the order of workload, size, precision and devices."""
    return grouped(rows(frame))


def grouped(plain: Iterable[Row]) -> list[Group]:
    """The same, of the frame's rows."""
    by_group: dict[tuple[object, ...], list[Row]] = {}
    listed_rows = list(plain)
    neighbours = Neighbours([row for row in listed_rows if row["status"] == "ok"])
    for row in listed_rows:
        by_group.setdefault(tuple(row[name] for name in SAME), []).append(row)
    found = [Group(cells=_cells(members, neighbours)) for members in by_group.values()]
    return sorted(found, key=lambda group: _group_order(group.first))


def _cells(members: Sequence[Row], neighbours: Neighbours) -> list[Cell]:
    """The cells of one group, in the order of framework and variant, labelled so that they can be told apart."""
    by_id: dict[str, list[Row]] = {}
    for row in sorted(members, key=lambda row: row["repeat"] or 0):
        by_id.setdefault(row["cell_id"] or "?", []).append(row)
    ordered = sorted(by_id.values(), key=lambda found: _cell_order(found[0]))
    telling = [name for name in ("kernels", "arm") if len({found[0][name] for found in ordered}) > 1]
    return [
        Cell(
            label=_label(found[0], telling),
            rows=found,
            ok=[row for row in found if row["status"] == "ok"],
            neighbours=neighbours,
        )
        for found in ordered
    ]


def _label(row: Row, telling: Sequence[str]) -> str:
    """Such as `PyTorch eager`, with what else tells it from its group's other cells."""
    impl = row["impl"] or "?"
    rest = [f"{name} {row[name]}" for name in telling if row[name]]
    label = f"{FRAMEWORKS.get(impl, impl)} {row['variant'] or ''}".strip()
    return short(f"{label} ({', '.join(rest)})" if rest else label)


def framework_order(impl: str | None) -> tuple[int, str]:
    return _position(impl, tuple(FRAMEWORKS))


def _cell_order(row: Row) -> tuple[object, ...]:
    return (framework_order(row["impl"]), *(row[name] or "" for name in (*HOW, "cell_id")))


def _group_order(row: Row) -> tuple[object, ...]:
    known = (("workload", tuple(WORKLOADS)), ("size", SIZES), ("precision", PRECISIONS))
    rest = (row["engine"] != "plain", row["global_batch"] or 0, *(str(row[name]) for name in SAME))
    return (*(_position(row[name], order) for name, order in known), row["devices"] or 0, *rest)


def _position(name: str | None, order: Sequence[str]) -> tuple[int, str]:
    """Known names in their order, then others by the alphabet."""
    return (order.index(name), "") if name in order else (len(order), name or "")


def estimate(cell: Cell, metric: str, *, cache: str | None = None) -> Estimate | None:
    """A metric's geometric mean over repeats with its interval, or None where no repeat has a value.

    With `cache` over repeats with such a compile cache alone: only like is compared with like.
    """
    family, name = cell.neighbours.family(metric, cache=cache), name_of(cell.rows[0])
    return family.estimate(name) if name in family.cells else None


def compared(new: Cell, base: Cell, metric: str, *, cache: str | None = None) -> Comparison | None:
    """NEW over BASE: paired by round within a run; None where one has no value."""
    sides = [(cell.neighbours.family(metric, cache=cache), name_of(cell.rows[0])) for cell in (new, base)]
    return compare_cells(*sides) if all(name in family.cells for family, name in sides) else None


def ratio(a: Cell, b: Cell, metric: str) -> Estimate | None:
    """How many times b's value a's is: paired by round, over the rounds that both have; None if they share none."""
    found = compared(a, b, metric)
    if not found or not found.shared:
        return None
    return Estimate(mean=found.ratio, low=found.low, high=found.high, count=found.shared)


def apart(fastest: Cell, others: Sequence[Cell], metric: str) -> list[bool | None]:
    """Of each other cell whether it is told from the fastest, with Holm's correction; None if nothing can tell."""
    found = [compared(fastest, other, metric) for other in others]
    adjusted = holm([one.p if one else None for one in found])
    return [None if p is None else p < LEVEL for p in adjusted]


def short(label: str) -> str:
    return label if len(label) <= LABEL_LENGTH else label[: LABEL_LENGTH - 1] + "…"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
