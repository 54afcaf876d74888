"""Cells on several devices: efficiency by their number, and where the rest of a step's time goes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.stats import scaling
from bench.stats.scaling import Efficiency, Sample, Split
from bench.units import scaled
from report.cells import CELL, Cell, Group, emulated, short
from report.frame import Row
from report.layout import (
    NEUTRAL,
    Figure,
    axis,
    escaped,
    hatched,
    plain_layout,
    row_layout,
    whose,
)  # fmt: skip
from report.panels import NONE, Table
from report.tables import in_words, of_cells
from report.values import measurable

TOGETHER = ("workload", "size", "precision", "platform", "scaling", "optimizer", "input", "seed")  # in one chart
HEIGHT_PX = 300


@dataclass(frozen=True, kw_only=True)
class Point:
    """A cell on several devices."""

    group: Group
    cell: Cell
    found: Efficiency
    split: Split | None

    @property
    def devices(self) -> int:
        return self.cell.rows[0]["devices"]


def points(groups: Sequence[Group]) -> list[Point]:
    """All that have a base on one device, fewest devices first."""
    of_name = {name_of(cell.rows[0]): (group, cell) for group in groups for cell in group.cells}
    told = scaling.efficiencies(sample for _, cell in of_name.values() for sample in samples(cell.ok))
    found = [
        Point(group=group, cell=cell, found=one, split=split_of(cell))
        for one in told
        for group, cell in [of_name[name_of(one.cell)]]
    ]
    return sorted(found, key=lambda point: point.devices)


def name_of(cell: Mapping[str, Any]) -> str:
    return repr([cell[name] for name in (*CELL, "spec_hash")])


def samples(rows: Iterable[Row]) -> Iterable[Sample]:
    """Step times, of rows that hold all that a comparison needs."""
    for row in rows:
        whole = all(isinstance(row[name], int) for name in ("devices", "global_batch", "batch_per_device"))
        if whole and row["step_s"] and measurable(row["step_s"]) and row["repeat"] is not None:
            cell = {name: row[name] for name in (*CELL, "spec_hash")}
            yield Sample(cell=cell, round=(row["run"], row["repeat"]), step_s=row["step_s"])


def split_of(cell: Cell) -> Split | None:
    """From the first repeat that has it; a stranger's record may hold anything."""
    for row in cell.ok:
        try:
            if found := scaling.split(row["communication_map"], row["step_s"], row["devices"]):
                return found
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, StopIteration):
            continue
    return None


def charts(found: Sequence[Point]) -> list[list[Point]]:
    """The points that belong into one chart, chart by chart."""
    by_chart: dict[tuple[object, ...], list[Point]] = {}
    for point in found:
        by_chart.setdefault(tuple(point.found.cell[name] for name in TOGETHER), []).append(point)
    return list(by_chart.values())


def curve(members: Sequence[Point], palette: Mapping[str, str]) -> Figure:
    """Efficiency in percent by the number of devices, a line for each framework and variant, all from 1 device."""
    counts = sorted({1, *(point.devices for point in members)})
    by_label: dict[str, list[Point]] = {}
    for point in members:
        by_label.setdefault(point.cell.label, []).append(point)
    layout = plain_layout(HEIGHT_PX) | {
        "xaxis": axis("devices") | {"type": "log", "tickvals": counts, "ticktext": [str(count) for count in counts]},
        "yaxis": axis("efficiency, %") | {"rangemode": "tozero"},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "margin": {"l": 56, "r": 8, "t": 36, "b": 40},
        "shapes": [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": 100,
                "y1": 100,
                "line": {"color": NEUTRAL, "dash": "dot", "width": 1},
            }
        ],
    }
    return {"data": [line(label, of_label, palette) for label, of_label in by_label.items()], "layout": layout}


def line(label: str, members: Sequence[Point], palette: Mapping[str, str]) -> dict[str, Any]:
    """One framework's efficiencies, with their intervals where there are any."""
    up = [100 * (one.high - one.value) if one.high is not None else 0 for one in (point.found for point in members)]
    down = [100 * (one.value - one.low) if one.low is not None else 0 for one in (point.found for point in members)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escaped(label),
        "x": [1, *(point.devices for point in members)],
        "y": [100, *(100 * point.found.value for point in members)],
        "error_y": {
            "type": "data",
            "array": [0, *up],
            "arrayminus": [0, *down],
            "symmetric": False,
            "color": NEUTRAL,
            "thickness": 1.5,
            "width": 5,
        },
        "line": {"color": palette.get(members[0].cell.impl, NEUTRAL), "width": 2},
        "marker": {"size": 7},
        "meta": {"cells": [members[0].cell.id, *(point.cell.id for point in members)]},
        "hoverinfo": "text",
        "hovertext": ["1 device, behind the same engine", *(escaped(told(point)) for point in members)],
    }


PARTS = (("computation", ""), ("imbalance", "x"), ("exchange", "/"))  # with their hatch


def shares(point: Point) -> list[float | None]:
    """Computation, imbalance and exchange in percent of the step; none where they were not measured."""
    split = point.split
    parts = (split.compute_s, split.imbalance_s, split.exposed_s) if split else (None, None, None)
    return [None if part is None or split is None else 100 * part / split.step_s for part in parts]


def parts(members: Sequence[Point], palette: Mapping[str, str]) -> Figure:
    """Where a step's time goes, a row a cell; noise can make the exchange less than nothing."""
    found = [(point, shares(point)) for point in members if point.split]
    traces: list[dict[str, Any]] = []
    for n, (name, hatch) in enumerate(PARTS):
        known = [(place, point, share) for place, (point, of) in enumerate(found) if (share := of[n]) is not None]
        traces.append({
            "type": "bar", "orientation": "h", "showlegend": False, "width": 0.34,
            "y": [place for place, _, _ in known], "x": [share for *_, share in known],
            "marker": hatched([palette.get(point.cell.impl, NEUTRAL) for _, point, _ in known], hatch),
            "meta": whose([point.cell for _, point, _ in known]), "hoverinfo": "text",
            "hovertext": [escaped(f"{row_label(point)}: {name} {share:.1f} %") for _, point, share in known],
        })  # fmt: skip
    rows = [(point.cell.id, escaped(row_label(point)), percent(point.found.value)) for point, _ in found]
    return {"data": traces, "layout": row_layout(rows, "% of the step") | {"barmode": "relative"}}


def row_label(point: Point) -> str:
    return f"{point.cell.label} ×{point.devices}"


def told(point: Point) -> str:
    """A point in words."""
    bounds = interval(point.found)
    return (
        f"{point.cell.label}, {point.devices} devices: {percent(point.found.value)}{f' ({bounds})' if bounds else ''}"
    )


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def interval(found: Efficiency) -> str:
    return "" if found.low is None or found.high is None else f"{100 * found.low:.1f} to {percent(found.high)}"


def setting(row: Mapping[str, Any]) -> str:
    """What a chart's cells have in common."""
    kind = "emulated cpu devices" if emulated(row) else f"{row['platform']} devices"
    return ", ".join(
        short(str(part)) for part in (row["precision"], f"{row['scaling']} scaling", row["optimizer"], kind)
    )


def table(points: Sequence[Point]) -> Table:
    """One line for each cell on several devices."""
    return of_cells((point.group, point.cell, _values(point)) for point in points)


def _values(point: Point) -> dict[str, str]:
    split = point.split
    parts = [NONE if share is None else f"{share:.0f} %" for share in shares(point)]
    return {
        "rate of a device": in_words(point.group, point.cell, "throughput_per_device_per_s"),
        "efficiency": percent(point.found.value),
        "95 % interval": interval(point.found) or NONE,
        **dict(zip(("computation", "imbalance", "exchange"), parts, strict=True)),
        "all-reduce of the gradients": scaled(split.exchange_s, "s") if split else NONE,
        "bandwidth": scaled(split.bytes_per_s, "B/s") if split else NONE,
        "repeats": point.cell.repeats,
    }
