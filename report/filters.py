"""What the page's filters know of each cell, and by what they filter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from report.cells import FRAMEWORKS, PRECISIONS, WORKLOADS, Cell, Group, short
from report.commands import command

FILTERS: Mapping[str, tuple[str, Mapping[str, str], Sequence[str]]] = {  # field of a cell: label, names, their order
    "workload": ("Workload", WORKLOADS, tuple(WORKLOADS)),
    "impl": ("Framework", FRAMEWORKS, tuple(FRAMEWORKS)),
    "precision": ("Precision", {}, PRECISIONS),
    "devices": ("Devices", {}, ()),
}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One dimension of the matrix: its values, each with its name for people."""

    name: str
    label: str
    values: Sequence[tuple[str, str]]


def cell_data(cells: Iterable[tuple[Group, Cell]], repeats: int | None) -> dict[str, dict[str, Any]]:
    """Of each cell, by its id, what the filters ask for, its name, and the command that measures it again."""
    return {
        cell.id: {
            **{name: str(cell.rows[0][name]) for name in FILTERS},
            "label": f"{group.title}, {cell.label}, {group.setting}",
            "command": command(cell.rows[0], repeats),
        }
        for group, cell in cells
    }


def filters(cells: Iterable[Mapping[str, Any]]) -> list[Filter]:
    """What can be filtered by: each dimension in which there is more than one value."""
    known = list(cells)
    found = [
        Filter(
            name=name,
            label=label,
            values=[
                (value, short(names.get(value, value)))
                for value in sorted({cell[name] for cell in known}, key=lambda value: position(value, order))
            ],
        )
        for name, (label, names, order) in FILTERS.items()
    ]
    return [one for one in found if len(one.values) > 1]


def position(value: str, order: Sequence[str]) -> tuple[int, int, str]:
    """Known names in their order, numbers by size, others by the alphabet."""
    return (order.index(value) if value in order else len(order), int(value) if value.isdecimal() else 0, value)
