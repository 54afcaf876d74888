"""Figures as plotly's plain data: `{"data": [...], "layout": {...}}`, made from a group of cells.

The page hands them to plotly.js as they are; `layout.show` makes plotly's own object of one, for a notebook.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.stats import Estimate
from bench.units import scale, scaled, share, shown
from report.cells import BY_NAME, Cell, Group, estimate
from report.frame import Row
from report.layout import (
    NEUTRAL,
    Figure,
    axis,
    bar_layout,
    escaped,
    hatched,
    hover,
    plain_layout,
    struck,
    value_text,
    whiskers,
    whose,
)
from report.trajectories import differences, loss_curves, reference

DASHES = ("solid", "dash", "dot", "dashdot")
MARKERS = ("circle", "square", "diamond", "cross", "triangle-up", "x")
LEAST = 1e-300  # differences below it, or above its inverse, do not count: decades around them are no numbers
PHASES = (("import_s", "/"), ("init_s", "x"), ("compile_s", ""))  # with their hatch


def bars(group: Group, metric: str, palette: Mapping[str, str]) -> Figure:
    """One bar a cell for a metric, with the 95 % interval over repeats; what has no value says why instead."""
    found = {cell.id: estimate(cell, metric) for cell in group.cells}
    factor, unit = scale([one.high or one.mean for one in found.values() if one], group.unit(metric))
    present = [(place, cell, one) for place, cell in enumerate(group.cells) if (one := found[cell.id])]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [place for place, _, _ in present],
        "x": [one.mean / factor for _, _, one in present],
        "width": 0.34,
        "marker": {
            "color": [palette.get(cell.impl, NEUTRAL) for _, cell, _ in present],
            "opacity": [0.35 if cell.verdict == "diverged" else 1 for _, cell, _ in present],
            "pattern": {"shape": ["x" if cell.verdict == "diverged" else "" for _, cell, _ in present]},
        },
        "error_x": whiskers([one for _, _, one in present], factor),
        "hoverinfo": "text",
        "meta": whose([cell for _, cell, _ in present]),
        "hovertext": [
            hover(cell, f"{BY_NAME[metric].label}: {shown(one, group.unit(metric))}", one, group.unit(metric))
            for _, cell, one in present
        ],
    }
    right = [value_text(cell, found[cell.id], group.unit(metric)) for cell in group.cells]
    return {"data": [trace], "layout": bar_layout(group.cells, right, unit if present else "")}


def cold_start(group: Group, palette: Mapping[str, str], *, legend: bool = True) -> Figure:
    """The phases before the steady state, stacked, from repeats with a cold compile cache alone."""
    found = {name: {cell.id: estimate(cell, name, cache="cold") for cell in group.cells} for name, _ in PHASES}
    totals = [sum(one.mean for name, _ in PHASES if (one := found[name][cell.id])) for cell in group.cells]
    factor, unit = scale(totals, "s")
    traces = [_phase(group, name, hatch, found[name], factor, palette) for name, hatch in PHASES]
    keys = [_legend_only(BY_NAME[name].label, hatch) for name, hatch in PHASES]
    right = [_total(cell, total) for cell, total in zip(group.cells, totals, strict=True)]
    layout = bar_layout(group.cells, right, unit if any(totals) else "") | {"barmode": "stack", "showlegend": legend}
    return {
        "data": [*traces, *(keys if legend else [])],
        "layout": layout | {"legend": {"orientation": "h", "y": -0.3}},
    }


def cold(cell: Cell) -> list[Row]:
    """Its repeats with a cold compile cache: only like is compared with like."""
    return [row for row in cell.ok if row["compile_cache"] == "cold"]


def _total(cell: Cell, total: float) -> str:
    if total:
        return struck(cell, scaled(total, "s"))
    return escaped("no cold repeat" if cell.ok else cell.status)


def _phase(
    group: Group, name: str, hatch: str, found: Mapping[str, Estimate | None], factor: float, palette: Mapping[str, str]
) -> dict[str, Any]:
    present = [(place, cell, one) for place, cell in enumerate(group.cells) if (one := found[cell.id])]
    return {
        "type": "bar",
        "orientation": "h",
        "showlegend": False,
        "y": [place for place, _, _ in present],
        "x": [one.mean / factor for _, _, one in present],
        "width": 0.34,
        "marker": hatched([palette.get(cell.impl, NEUTRAL) for _, cell, _ in present], hatch),
        "hoverinfo": "text",
        "meta": whose([cell for _, cell, _ in present]),
        "hovertext": [hover(cell, f"{BY_NAME[name].label}: {shown(one, 's')}", one, "s") for _, cell, one in present],
    }


def _legend_only(name: str, hatch: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "x": [None],
        "y": [None],
        "name": name,
        "marker": hatched(NEUTRAL, hatch),
        "hoverinfo": "skip",
    }


def losses(group: Group, name: str, palette: Mapping[str, str]) -> Figure:
    """A loss over the first steps, float64's behind it, above how far each cell is from float64.

    Where frameworks coincide their lines lie inside each other, the first the widest, so that all are seen. Where no
    record has float64's all are held against the first cell.
    """
    curves, known = loss_curves(group, name), reference(group, name)
    base = "float64" if known else curves[0][0].label
    off = [differences(known or curves[0][1], curve) for _, curve in curves]
    floor = _floor(one for found in off for one in found)
    above = [_curve(name, place, len(curves), *found, palette) for place, found in enumerate(curves)]
    below = [
        _difference(base, place, curves[place][0], off[place], floor, palette)
        for place in range(0 if known else 1, len(curves))
    ]
    above = [*([_reference(name, known, len(curves))] if known else []), *above]
    values = [value for _, curve in curves for value in curve if math.isfinite(value)]
    shown = [value for trace in below for value in trace["y"] if value is not None]
    return {"data": [*above, *below], "layout": _loss_layout(name.replace("_", " "), values, shown, floor)}


def _floor(differences: Iterable[float]) -> float:
    """Where a difference of exactly zero is drawn on a logarithmic axis: a decade below all others."""
    least = min((one for one in differences if LEAST <= one <= 1 / LEAST), default=1e-15)
    return 10.0 ** (math.floor(math.log10(least)) - 1)


def _curve(
    name: str, place: int, count: int, cell: Cell, curve: Sequence[float], palette: Mapping[str, str]
) -> dict[str, Any]:
    """The loss itself: the earlier a cell's place, the wider its line."""
    told = [hover(cell, f"{name} at step {step}: {value!r}", None, "") for step, value in enumerate(curve)]
    line = {"color": palette.get(cell.impl, NEUTRAL), "width": 3 + 4 * (count - 1 - place)}
    return _line(curve, told) | {"name": struck(cell, cell.label), "mode": "lines", "line": line, "meta": whose(cell)}


def _reference(name: str, values: Sequence[float], count: int) -> dict[str, Any]:
    """Float64's losses, the widest line of all, behind the others."""
    told = [escaped(f"float64: {name} at step {step}: {value!r}") for step, value in enumerate(values)]
    line = {"color": "rgba(128,135,145,0.45)", "width": 7 + 4 * count}
    return _line(values, told) | {"name": "float64", "mode": "lines", "line": line}


def _difference(
    base: str, place: int, cell: Cell, off: Sequence[float], floor: float, palette: Mapping[str, str]
) -> dict[str, Any]:
    """How far a cell's loss is from float64's or the first cell's, on the lower axis."""
    told = [hover(cell, f"step {step}: {share(one)} off {base}", None, "") for step, one in enumerate(off)]
    look = {
        "mode": "lines+markers",
        "line": {"color": palette.get(cell.impl, NEUTRAL), "width": 1.5, "dash": DASHES[place % len(DASHES)]},
        "marker": {"symbol": MARKERS[place % len(MARKERS)], "size": 6},
        "yaxis": "y2",
        "showlegend": False,
        "meta": whose(cell),
    }
    return _line([max(one, floor) for one in off], told) | look | {"name": struck(cell, cell.label)}


def _line(values: Sequence[float], told: Sequence[str]) -> dict[str, Any]:
    finite = [value if math.isfinite(value) else None for value in values]
    return {"type": "scatter", "y": finite, "hoverinfo": "text", "hovertext": list(told)}


def _loss_layout(name: str, values: Sequence[float], below: Sequence[float], floor: float) -> dict[str, Any]:
    """Losses above, on a logarithmic axis where they span more than a decade or so; differences below, if any."""
    wide = bool(values) and min(values) > 0 and max(values) / min(values) > 20
    upper = {"domain": [0.4, 1] if below else [0, 1], "type": "log" if wide else "linear", "nticks": 5}
    found = plain_layout(400 if below else 260) | {
        "xaxis": axis("step") | {"anchor": "y2" if below else "y", "rangemode": "tozero"},
        "yaxis": axis(f"{name} loss") | upper,
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "margin": {"l": 62, "r": 8, "t": 36, "b": 40},
    }
    return found | {"yaxis2": axis("difference") | _decades(max(below), floor)} if below else found


def _decades(largest: float, floor: float) -> dict[str, Any]:
    """A logarithmic axis over whole decades with at most four labels, the lowest of which is 0."""
    low = round(math.log10(floor))
    high = max(math.ceil(math.log10(min(largest, 1 / LEAST))), low + 2)
    powers = range(low + 1, high + 1, math.ceil((high - low) / 3))
    ticks = {
        "tickvals": [floor, *(10.0**power for power in powers)],
        "ticktext": ["0", *(f"1e{power}" for power in powers)],
    }
    return {"type": "log", "range": [low - 0.15, high + 0.15], "domain": [0, 0.3], **ticks}
