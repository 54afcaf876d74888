"""All-reduces by size: how fast each framework's own transport averages vectors over the devices of a cell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.units import scaled
from report.cells import Cell, Group, emulated
from report.frame import Row
from report.layout import NEUTRAL, Figure, axis, escaped, plain_layout, whose
from report.panels import Line, Table
from report.values import measurable

HEIGHT_PX = 300


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """All-reduces of one size in one framework over so many devices."""

    cell: Cell  # the first that has it: the transport is the same in all
    devices: int
    bytes: int  # on each device
    seconds: float  # the median over cells and repeats

    @property
    def bytes_per_s(self) -> float:
        """Bus bandwidth as nccl-tests counts it."""
        return 2 * (self.devices - 1) / self.devices * self.bytes / self.seconds


def exchanges(groups: Sequence[Group]) -> list[Exchange]:
    """By platform and number of devices, framework and variant, and size."""
    found: dict[tuple[str, int, str, int], list[float]] = {}
    first: dict[tuple[str, int, str, int], Cell] = {}
    for cell in (cell for group in groups for cell in group.cells):
        for row in cell.ok:
            for size, seconds in measured(row):
                key = (row["platform"] or "?", row["devices"], cell.label, size)
                found.setdefault(key, []).append(seconds)
                first.setdefault(key, cell)
    return [
        Exchange(cell=first[key], devices=key[1], bytes=key[3], seconds=median(found[key])) for key in sorted(found)
    ]


def measured(row: Row) -> Iterable[tuple[int, float]]:
    """Sizes in bytes and seconds, of a field in which a stranger's record may hold anything."""
    try:
        told = [(int(one["bytes"]), float(one["seconds"])) for one in row["communication_map"]["all_reduce"]]
        several = row["devices"] > 1
    except (LookupError, TypeError, ValueError, OverflowError):
        return []
    return [(size, seconds) for size, seconds in told if several and measurable(size) and measurable(seconds)]


def charts(found: Iterable[Exchange]) -> list[list[Exchange]]:
    """Those over as many devices of one kind, chart by chart."""
    by_chart: dict[tuple[object, int], list[Exchange]] = {}
    for one in found:
        by_chart.setdefault((one.cell.rows[0]["platform"], one.devices), []).append(one)
    return list(by_chart.values())


def title(members: Sequence[Exchange]) -> str:
    row = members[0].cell.rows[0]
    return f"{members[0].devices} {'emulated ' if emulated(row) else ''}{row['platform']} devices"


def curve(members: Sequence[Exchange], palette: Mapping[str, str]) -> Figure:
    """Bandwidth by size, both logarithmic, a line for each framework and variant."""
    by_label: dict[str, list[Exchange]] = {}
    for one in members:
        by_label.setdefault(one.cell.label, []).append(one)
    sizes = sorted({one.bytes for one in members})
    ticks = [2**n for n in range(10, 40, 4) if sizes[0] / 16 < 2**n < sizes[-1] * 16]
    layout = plain_layout(HEIGHT_PX) | {
        "xaxis": axis("size") | {"type": "log", "tickvals": ticks, "ticktext": [scaled(one, "B") for one in ticks]},
        "yaxis": axis("bus bandwidth, B/s") | {"type": "log", "exponentformat": "SI", "dtick": 1},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "margin": {"l": 56, "r": 8, "t": 36, "b": 40},
    }
    return {"data": [line(of_label, palette) for of_label in by_label.values()], "layout": layout}


def line(members: Sequence[Exchange], palette: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escaped(members[0].cell.label),
        "x": [one.bytes for one in members],
        "y": [one.bytes_per_s for one in members],
        "line": {"color": palette.get(members[0].cell.impl, NEUTRAL), "width": 2},
        "marker": {"size": 7},
        "meta": whose(members[0].cell),
        "hoverinfo": "text",
        "hovertext": [escaped(told(one)) for one in members],
    }


def told(one: Exchange) -> str:
    """A point in words."""
    return f"{one.cell.label}, {scaled(one.bytes, 'B')}: {scaled(one.seconds, 's')}, {scaled(one.bytes_per_s, 'B/s')}"


def table(found: Sequence[Exchange]) -> Table:
    """One line for each framework, number of devices and size."""
    values = [
        [one.cell.label, str(one.devices), scaled(one.bytes, "B"), scaled(one.seconds, "s"),
         scaled(one.bytes_per_s, "B/s")]
        for one in found
    ]  # fmt: skip
    head = ["framework", "devices", "size", "all-reduce", "bandwidth"]
    lines = [Line(values=line, struck=False) for line in values]
    return Table(head=head, lines=lines, numeric=frozenset(range(1, len(head))))
