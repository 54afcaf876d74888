"""A metric by the number of devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.stats import Estimate
from bench.units import interval, scale, shown
from report.cells import Cell, Group, estimate, plural
from report.devices.efficiency import HEIGHT_PX, TOGETHER
from report.layout import Figure, axis, bounds, curve_layout, escaped, hover, look, whose
from report.panels import NONE, Table
from report.tables import in_words, of_cells


@dataclass(frozen=True, kw_only=True)
class Count:
    """A cell of a sweep, with a metric's value."""

    group: Group
    cell: Cell
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
            value = estimate(cell, metric)
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


def curve(members: Sequence[Count], metric: str, palette: Mapping[str, str]) -> Figure:
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


def table(found: Sequence[Sequence[Count]], name: str) -> Table:
    """One line for each cell of a sweep: a metric by the number of devices."""
    return of_cells(
        (one.group, one.cell, {
            "devices": str(one.devices),
            "value": in_words(one.group, one.cell, name),
            "95 % interval": interval(one.found, one.group.unit(name)) or NONE,
            "repeats": one.cell.repeats,
        })
        for members in found
        for one in members
    )  # fmt: skip
