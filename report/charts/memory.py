"""Memory against throughput, and by the number of devices."""

from collections.abc import Mapping, Sequence

from bench.stats import Estimate
from bench.units import scale, shown
from report.cells import BY_NAME, Cell, Group, estimate, short
from report.layout import Figure, axis, bounds, curve_layout, escaped, look, whose
from report.neighbours import values
from report.panels import NONE, Line, Panel, Section, Table

MEMORY = ("device_memory_bytes", "host_memory_bytes")  # the first that was measured
RATE = "throughput_per_s"
Point = tuple[Group, Cell, Estimate, Estimate]  # memory, rate


def metric(groups: Sequence[Group]) -> str | None:
    """Which memory a page's charts show: that of the devices where any cell has it."""
    return next((one for one in MEMORY if any(values(c.ok, one) for g in groups for c in g.cells)), None)


def section(groups: Sequence[Group], palette: Mapping[str, str]) -> Section:
    """One panel a workload and size: each cell as a point, up is faster, left needs less."""
    name = metric(groups)
    tasks: dict[str, list[Point]] = {}
    for group in groups if name else ():
        for cell in group.cells:
            found, rate = estimate(cell, name or ""), estimate(cell, RATE)
            if found and rate and cell.ranked:
                tasks.setdefault(group.title, []).append((group, cell, found, rate))
    lines = [
        Line(values=[g.title, label(g, c), shown(memory, "B"), shown(rate, g.unit(RATE)), g.setting], cell=c.id)
        for members in tasks.values()
        for g, c, memory, rate in members
    ]
    head = ["what", "cell", BY_NAME[name].label.lower() if name else NONE, "throughput", "setting"]
    return Section(
        id="memory-rate",
        title="Throughput against memory",
        intro="Each cell by the memory that it takes and the rate that it reaches: up and left is better.",
        panels=[panel(title, members, name or "", palette) for title, members in tasks.items()],
        table=Table(head=head, lines=lines, numeric=frozenset((2, 3))),
        wide=True,
    )


def label(group: Group, cell: Cell) -> str:
    devices = group.first["devices"] or 1
    return short(f"{cell.label} {group.precision}{f' ×{devices}' if devices > 1 else ''}")


def panel(title: str, members: Sequence[Point], name: str, palette: Mapping[str, str]) -> Panel:
    said = "; ".join(
        f"{label(g, c)} {shown(memory, 'B')}, {shown(rate, g.unit(RATE))}" for g, c, memory, rate in members
    )
    return Panel(
        title=title,
        setting=BY_NAME[name].label.lower(),
        caption="",
        alt=f"Scatter chart, throughput against memory of {title}: {said}.",
        figure=figure(members, name, palette),
    )


def figure(members: Sequence[Point], name: str, palette: Mapping[str, str]) -> Figure:
    unit = members[0][0].unit(RATE)
    by, unit_x = scale([memory.high or memory.mean for _, _, memory, _ in members], "B")
    of, unit_y = scale([rate.high or rate.mean for *_, rate in members], unit)
    places = {one: n for n, one in enumerate(dict.fromkeys(g.precision for g, *_ in members))}
    traces: list[dict[str, object]] = []
    series: dict[tuple[str, str, str], list[Point]] = {}
    for point in members:
        series.setdefault((point[1].impl, point[1].label, point[0].precision), []).append(point)
    for (_, cell_label, precision), points in series.items():
        style = look(points[0][1], places[precision], palette)
        traces.append({
            "type": "scatter", "mode": "markers", "name": escaped(short(f"{cell_label} {precision}")),
            "x": [memory.mean / by for _, _, memory, _ in points], "y": [rate.mean / of for *_, rate in points],
            "error_x": bounds([memory for _, _, memory, _ in points], by),
            "error_y": bounds([rate for *_, rate in points], of),
            "marker": style["marker"], "meta": whose([c for _, c, *_ in points]), "hoverinfo": "text",
            "hovertext": [
                "<br>".join(map(escaped, (label(g, c), shown(m, "B"), shown(r, unit), c.repeats, f"cell {c.id}")))
                for g, c, m, r in points
            ],
        })  # fmt: skip
    x = axis(f"{BY_NAME[name].label.lower()}, {unit_x}") | {"rangemode": "tozero"}
    return {"data": traces, "layout": curve_layout(x, axis(unit_y) | {"rangemode": "tozero"}, 380)}
