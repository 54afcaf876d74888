"""How long single steps take, each waited for: the distribution over all repeats of a cell."""

from collections.abc import Mapping, Sequence

from bench.units import scale, scaled
from report.cells import Cell, Group, plural
from report.layout import NEUTRAL, Figure, escaped, row_layout, whose
from report.panels import Line, Panel, Section, Table

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def quantiles(cell: Cell) -> tuple[float, ...] | None:
    """The shares' quantiles over the steps of all repeats together; None without steps."""
    found = sorted(value for row in cell.ok for value in row["latency"])
    return tuple(found[min(int(share * len(found)), len(found) - 1)] for share in SHARES) if found else None


def section(groups: Sequence[Group], palette: Mapping[str, str]) -> Section:
    """One panel a group: a row a cell."""
    known = [(group, {cell.id: found for cell in group.cells if (found := quantiles(cell))}) for group in groups]
    lines = [
        Line(
            values=[group.title, cell.label, *(scaled(one, "s") for one in found[cell.id]), steps(cell), group.setting],
            cell=cell.id,
        )
        for group, found in known
        for cell in group.cells
        if cell.id in found
    ]
    head = ["what", "cell", *(f"{100 * share:.0f} %" for share in SHARES), "of", "setting"]
    return Section(
        id="latency",
        title="Latency of single steps",
        intro="From dispatching one step to having waited for it. The box holds the middle half of the steps, its "
        "mark is the median, the line goes from the 5th to the 95th percentile. A step alone takes longer than one in "
        "a row of many, as nothing overlaps.",
        panels=[panel(group, found, palette) for group, found in known if found],
        table=Table(head=head, lines=lines, numeric=frozenset(range(2, 2 + len(SHARES)))),
        folded=True,
    )


def steps(cell: Cell) -> str:
    return plural(sum(len(row["latency"]) for row in cell.ok), "step")


def panel(group: Group, found: Mapping[str, tuple[float, ...]], palette: Mapping[str, str]) -> Panel:
    cells = [cell for cell in group.cells if cell.id in found]
    said = "; ".join(
        f"{cell.label} median {scaled(found[cell.id][2], 's')}, 95 % below {scaled(found[cell.id][4], 's')}"
        for cell in cells
    )
    return Panel(
        title=group.title,
        setting=group.setting,
        caption="",
        alt=f"Box chart, latency of single steps of {group.title}, {group.setting}: {said}.",
        figure=figure(cells, found, palette),
    )


def figure(cells: Sequence[Cell], found: Mapping[str, tuple[float, ...]], palette: Mapping[str, str]) -> Figure:
    factor, unit = scale([found[cell.id][4] for cell in cells], "s")
    parts = [[one / factor for one in found[cell.id]] for cell in cells]
    colours = [palette.get(cell.impl, NEUTRAL) for cell in cells]
    told = [hover(cell, found[cell.id]) for cell in cells]
    box = {
        "type": "bar",
        "orientation": "h",
        "width": 0.3,
        "y": list(range(len(cells))),
        "base": [low for _, low, *_ in parts],
        "x": [high - low for _, low, _, high, _ in parts],
        "marker": {"color": colours, "opacity": [0.55] * len(cells)},
        "meta": whose(cells),
        "hoverinfo": "text",
        "hovertext": told,
    }
    middle = {
        "type": "scatter",
        "mode": "markers",
        "x": [mid for _, _, mid, *_ in parts],
        "y": list(range(len(cells))),
        "marker": {"color": colours, "symbol": ["line-ns-open"] * len(cells), "size": 16, "line": {"width": 3}},
        "error_x": {
            "type": "data", "symmetric": False, "color": NEUTRAL, "thickness": 1.5, "width": 4,
            "array": [last - mid for _, _, mid, _, last in parts],
            "arrayminus": [mid - first for first, _, mid, _, _ in parts],
        },
        "meta": whose(cells),
        "hoverinfo": "text",
        "hovertext": told,
    }  # fmt: skip
    rows = [(cell.id, escaped(cell.label), escaped(scaled(found[cell.id][2], "s"))) for cell in cells]
    return {"data": [box, middle], "layout": row_layout(rows, unit)}


def hover(cell: Cell, found: Sequence[float]) -> str:
    within = [f"{100 * share:.0f} % within {scaled(one, 's')}" for share, one in zip(SHARES, found, strict=True)]
    return "<br>".join(map(escaped, (cell.label, *within, steps(cell), cell.repeats, f"cell {cell.id}")))
