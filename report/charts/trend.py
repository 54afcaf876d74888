"""Several runs in one report: how throughput went from run to run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.stats import Estimate
from bench.units import scale, shown
from report.cells import Cell, Group, estimate
from report.layout import Figure, axis, bounds, curve_layout, escaped, look, whose
from report.panels import Line, Panel, Section, Table

RATE = "throughput_per_s"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One run: when it was made, of which commit, and what it measured."""

    name: str
    date: str  # ISO 8601, or empty
    commit: str
    groups: Sequence[Group]


Point = tuple[Moment, Group, Cell, Estimate]


def section(moments: Sequence[Moment], palette: Mapping[str, str]) -> Section:
    """One panel for each group of cells that at least two runs hold."""
    ordered = sorted(moments, key=lambda one: one.date)
    kinds: dict[str, list[Point]] = {}
    for moment in ordered:
        for group in moment.groups:
            for cell in group.cells:
                if cell.ranked and (found := estimate(cell, RATE)):
                    name = f"{group.title}, {group.setting}, {group.first['spec_hash']}"
                    kinds.setdefault(name, []).append((moment, group, cell, found))
    several = [points for points in kinds.values() if len({id(moment) for moment, *_ in points}) > 1]
    lines = [
        Line(
            values=[
                group.title,
                cell.label,
                moment.name,
                moment.date,
                moment.commit,
                shown(found, group.unit(RATE)),
                group.setting,
            ],
            cell=cell.id,
        )
        for points in several
        for moment, group, cell, found in points
    ]
    head = ["what", "cell", "run", "started", "commit", "throughput", "setting"]
    return Section(
        id="trend",
        title="From run to run",
        intro="Throughput of each cell in every run that holds it, by the date of the run. What moved a machine "
        "between two runs is in it; bench compare tells what noise does not explain.",
        panels=[panel(points, palette) for points in several],
        table=Table(head=head, lines=lines, numeric=frozenset((5,))),
        wide=True,
    )


def panel(points: Sequence[Point], palette: Mapping[str, str]) -> Panel:
    group = points[0][1]
    said = "; ".join(f"{c.label} {shown(found, g.unit(RATE))} in {moment.name}" for moment, g, c, found in points)
    return Panel(
        title=group.title,
        setting=group.setting,
        caption="",
        alt=f"Line chart, throughput by run of {group.title}, {group.setting}: {said}.",
        figure=figure(points, palette),
    )


def figure(points: Sequence[Point], palette: Mapping[str, str]) -> Figure:
    """A line a cell; runs without a date stand in the order given."""
    factor, unit = scale([found.high or found.mean for *_, found in points], points[0][1].unit(RATE))
    dated = all(moment.date for moment, *_ in points)
    runs = list(dict.fromkeys(moment.name for moment, *_ in points))
    cells: dict[str, list[Point]] = {}
    for point in points:
        cells.setdefault(point[2].id, []).append(point)
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "name": escaped(members[0][2].label),
            "x": [moment.date if dated else runs.index(moment.name) for moment, *_ in members],
            "y": [found.mean / factor for *_, found in members],
            "error_y": bounds([found for *_, found in members], factor),
            **look(members[0][2], place, palette),
            "meta": whose(members[0][2]), "hoverinfo": "text",
            "hovertext": [
                "<br>".join(map(escaped, (
                    cell.label, f"run {moment.name}", f"commit {moment.commit or 'not recorded'}",
                    shown(found, group.unit(RATE)), cell.repeats, f"cell {cell.id}",
                )))
                for moment, group, cell, found in members
            ],
        }
        for place, members in enumerate(cells.values())
    ]  # fmt: skip
    x = axis("run") | (
        {"type": "date"} if dated else {"tickvals": list(range(len(runs))), "ticktext": [escaped(one) for one in runs]}
    )
    return {"data": traces, "layout": curve_layout(x, axis(unit) | {"rangemode": "tozero"}, 340)}
