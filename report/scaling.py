"""Cells on several devices: efficiency by their number, and where the rest of a step's time goes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.stats import Estimate, scaling
from bench.stats.scaling import Efficiency, Sample, Split
from bench.units import scale, shown
from report.cells import CELL, Group, emulated, estimate, plural, short
from report.cells import Cell as CellOf
from report.frame import Row, measurable
from report.layout import (
    NEUTRAL,
    Figure,
    axis,
    bounds,
    curve_layout,
    escaped,
    hatched,
    hover,
    look,
    plain_layout,
    row_layout,
    whose,
)  # fmt: skip

TOGETHER = ("workload", "size", "precision", "platform", "scaling", "optimizer", "input", "seed")  # in one chart
HEIGHT_PX = 300


@dataclass(frozen=True, kw_only=True)
class Point:
    """A cell on several devices."""

    group: Group
    cell: CellOf
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


def split_of(cell: CellOf) -> Split | None:
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


def setting(point: Point) -> str:
    """What a chart's cells have in common."""
    row = point.found.cell
    kind = "emulated cpu devices" if emulated(row) else f"{row['platform']} devices"
    return ", ".join(
        short(str(part)) for part in (row["precision"], f"{row['scaling']} scaling", row["optimizer"], kind)
    )


@dataclass(frozen=True, kw_only=True)
class Count:
    """A cell of a sweep, with a metric's value."""

    group: Group
    cell: CellOf
    found: Estimate

    @property
    def devices(self) -> int:
        return self.cell.rows[0]["devices"]


def series(groups: Sequence[Group], metric: str) -> list[list[Count]]:
    """The cells behind an engine for several devices that have the metric, chart by chart, fewest devices first.

    The base on one device belongs to weak and to strong scaling, and stands in the charts of both.
    """
    found: dict[str, list[Count]] = {}
    bases: list[Count] = []
    for group in groups:
        for cell in group.cells if group.first["engine"] == "distributed" else ():
            value = estimate(cell.ok, metric)
            if not value or not cell.ranked or not isinstance(group.first["devices"], int):
                continue
            count = Count(group=group, cell=cell, found=value)
            if count.devices == 1:
                bases.append(count)
            else:
                found.setdefault(repr([group.first[name] for name in TOGETHER]), []).append(count)
    for members in found.values():
        kinds = {(one.cell.label, one.group.first["spec_hash"], base_batch(one)) for one in members}
        like = [one for one in bases if same_but_scaling(one, members[0])]
        members += [
            one
            for one in like
            if (one.cell.label, one.group.first["spec_hash"], one.group.first["global_batch"]) in kinds
        ]
        members.sort(key=lambda one: one.devices)
    return list(found.values())


def base_batch(one: Count) -> int:
    """The batch of the base that a cell is held against."""
    row = one.cell.rows[0]
    return row["global_batch" if row["scaling"] == "strong" else "batch_per_device"]


def same_but_scaling(one: Count, other: Count) -> bool:
    return all(one.group.first[name] == other.group.first[name] for name in TOGETHER if name != "scaling")


def counts_curve(members: Sequence[Count], metric: str, palette: Mapping[str, str]) -> Figure:
    """A metric by the number of devices, a line for each framework and variant; of a rate the ideal line too."""
    counts = sorted({one.devices for one in members})
    unit = members[0].group.unit(metric)
    factor, name = scale([one.found.high or one.found.mean for one in members], unit)
    by_label: dict[str, list[Count]] = {}
    for one in members:
        by_label.setdefault(one.cell.label, []).append(one)
    traces: list[dict[str, Any]] = []
    for place, of_label in enumerate(by_label.values()):
        style = look(of_label[0].cell, place, palette)
        traces.append({
            "type": "scatter", "mode": "lines+markers", "name": escaped(of_label[0].cell.label),
            "x": [one.devices for one in of_label], "y": [one.found.mean / factor for one in of_label],
            "error_y": bounds([one.found for one in of_label], factor), **style,
            "meta": whose([one.cell for one in of_label]), "hoverinfo": "text",
            "hovertext": [hover(one.cell, said(one, metric), one.found, unit) for one in of_label],
        })  # fmt: skip
        base = of_label[0]
        if metric == "throughput_per_s" and base.devices == 1:
            traces.append({
                "type": "scatter", "mode": "lines", "name": f"ideal, {escaped(base.cell.label)}", "showlegend": False,
                "x": counts, "y": [n * base.found.mean / factor for n in counts], "hoverinfo": "skip",
                "line": {"color": style["line"]["color"], "width": 1, "dash": "dot"}, "meta": whose(base.cell),
            })  # fmt: skip
    x = axis("devices") | {"type": "log", "tickvals": counts, "ticktext": [str(one) for one in counts]}
    return {"data": traces, "layout": curve_layout(x, axis(name) | {"rangemode": "tozero"}, HEIGHT_PX)}


def said(one: Count, metric: str) -> str:
    """A point in words."""
    return f"{one.cell.label}, {plural(one.devices, 'device')}: {shown(one.found, one.group.unit(metric))}"


def setting_of(members: Sequence[Count]) -> str:
    row = members[-1].cell.rows[0]
    kind = "emulated cpu devices" if emulated(row) else f"{row['platform']} devices"
    return ", ".join(
        short(str(part)) for part in (row["precision"], f"{row['scaling']} scaling", row["optimizer"], kind)
    )
