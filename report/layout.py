"""What all figures share: colours, layouts, hover texts, and the escaping of text that came from records.

Colours that depend on the theme (text, grid, whiskers) are left to the page's style sheet; a framework has the same
colour in every figure and theme.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from bench.stats import MIN_REPEATS, Estimate
from bench.units import interval, scaled, shown
from report.cells import Cell, framework_order

Figure = dict[str, Any]

# told apart with each kind of colour blindness (CIE76 of 23 and more), 3:1 and more against white and #14161a
COLOURS = {"torch": "#D55E00", "tf": "#4C6FD6", "jax": "#1FA98C"}
OTHERS = ("#B565C7", "#8C7A4F", "#7F8790")  # further frameworks, by the alphabet
NEUTRAL = "#808791"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "hexagon")
HATCHES = {"/": "striped", "x": "crossed", "": "solid"}  # what plotly calls them, in words
BAR_PX, AXIS_PX = 52, 42  # height of one bar with its line of text; of the axis below
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": NEUTRAL}


def show(figure: Figure) -> Any:
    """Plotly's own figure, which a notebook shows and kaleido writes as a picture."""
    from plotly.graph_objects import Figure as PlotlyFigure  # pyright: ignore[reportMissingTypeStubs]

    return PlotlyFigure(figure)


def colours(frameworks: Sequence[str]) -> Mapping[str, str]:
    """A colour for each framework of a report."""
    others = sorted((name for name in set(frameworks) if name not in COLOURS), key=framework_order)
    return {**COLOURS, **{name: OTHERS[min(n, len(OTHERS) - 1)] for n, name in enumerate(others)}}


def bar_layout(cells: Sequence[Cell], right: Sequence[str], unit: str) -> dict[str, Any]:
    """Bars from the top, each below a line of text: the cell's label on the left, its value on the right."""
    return row_layout(
        [(cell.id, struck(cell, cell.label), value) for cell, value in zip(cells, right, strict=True)], unit
    )


def row_layout(rows: Sequence[tuple[str, str, str]], unit: str) -> dict[str, Any]:
    """Rows from the top: of each the cell's id, and the escaped text on its left and right.

    Without a unit there is nothing to scale, and no axis.
    """
    line = {"showarrow": False, "yanchor": "bottom", "xref": "paper", "font": {"size": 13}}
    notes = [
        {**line, "x": side, "xanchor": anchor, "y": place - 0.2, "text": content, "name": cell}
        for place, (cell, left, right) in enumerate(rows)
        for side, anchor, content in ((0, "left", left), (1, "right", right))
    ]
    return plain_layout(BAR_PX * len(rows) + AXIS_PX + 8) | {
        "xaxis": axis(unit) | {"rangemode": "tozero", "nticks": 6, "showgrid": False, "visible": bool(unit)},
        "yaxis": {"visible": False, "range": [len(rows) - 0.7, -0.75], "fixedrange": True, "type": "linear"},
        "annotations": notes,
        "showlegend": False,
        "meta": {"rows": [cell for cell, _, _ in rows]},  # the page closes gaps where rows are left out
    }


def plain_layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "autosize": True,
        "font": FONT,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 6, "r": 8, "t": 4, "b": AXIS_PX},
        "hoverlabel": {"align": "left"},
        "dragmode": False,
    }


def hatched(colour: Sequence[str] | str, hatch: str) -> dict[str, Any]:
    """A bar's filling, so that parts of one colour are told apart."""
    pattern = {"shape": hatch, "fillmode": "replace", "size": 6, "solidity": 0.45} if hatch else {}
    return {"color": colour, "pattern": pattern, "line": {"color": colour, "width": 1}}


def curve_layout(x: dict[str, Any], y: dict[str, Any], height: int = 320) -> dict[str, Any]:
    """Lines or points over two axes, with their legend above."""
    return plain_layout(height) | {
        "xaxis": x,
        "yaxis": y,
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "margin": {"l": 62, "r": 12, "t": 44, "b": 44},
    }


def look(cell: Cell, place: int, palette: Mapping[str, str], width: float = 2) -> dict[str, Any]:
    """How a cell's line and marks are told from others of its framework, and without colour: by dash and symbol."""
    colour = palette.get(cell.impl, NEUTRAL)
    return {
        "line": {"color": colour, "width": width, "dash": DASHES[place % len(DASHES)]},
        "marker": {"color": colour, "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 8},
    }


def bounds(found: Sequence[Estimate | None], factor: float) -> dict[str, Any]:
    """Whiskers of points, some of which have no interval."""
    up = [(one.high - one.mean) / factor if one and one.high is not None else 0 for one in found]
    down = [(one.mean - one.low) / factor if one and one.low is not None else 0 for one in found]
    return {
        "type": "data", "array": up, "arrayminus": down, "symmetric": False, "color": NEUTRAL, "thickness": 1.5,
        "width": 5,
    }  # fmt: skip


def axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": escaped(title), "font": {"size": 12}, "standoff": 6},
        "tickfont": {"size": 12},
        "ticklabeloverflow": "allow",
        "gridcolor": "rgba(128,135,145,0.25)",
        "zerolinecolor": "rgba(128,135,145,0.5)",
        "fixedrange": True,
        "automargin": True,
    }


def whose(cells: Cell | Sequence[Cell]) -> dict[str, Any]:
    """Plotly's `meta` of a trace, by which the page's filters leave out what was not asked for.

    One cell: the whole trace is its. Several: one a point, in the order of the points. A trace without it, such as the
    ideal line of a scaling chart, stays as long as any other of its figure does.
    """
    if isinstance(cells, Cell):
        return {"cell": cells.id}
    return {"cells": [cell.id for cell in cells]}


def whiskers(found: Sequence[Estimate], factor: float) -> dict[str, Any]:
    up = [(one.high - one.mean) / factor if one.high is not None else 0 for one in found]
    down = [(one.mean - one.low) / factor if one.low is not None else 0 for one in found]
    return {
        "type": "data",
        "array": up,
        "arrayminus": down,
        "symmetric": False,
        "color": NEUTRAL,
        "thickness": 1.5,
        "width": 5,
    }


def value_text(cell: Cell, found: Estimate | None, unit: str) -> str:
    """What stands on the right of a bar: the value with its interval, struck out if it diverged, or the status."""
    if not cell.ok or found is None:
        return escaped(shown(found, unit) if cell.ok else cell.status)
    if cell.verdict == "diverged":
        return f"<s>{escaped(scaled(found.mean, unit))}</s> diverged"
    return escaped(shown(found, unit))


def hover(cell: Cell, what: str, found: Estimate | None, unit: str) -> str:
    """What a point says: value, interval, repeats, cell, verdict."""
    bounds = interval(found, unit)
    said = f"95 % interval {bounds}" if bounds else f"no interval below {MIN_REPEATS} repeats"
    lines = [cell.label, what, *([said] if found else []), cell.repeats, f"cell {cell.id}", cell.verdict]
    return "<br>".join(escaped(line) for line in lines)


def struck(cell: Cell, text: str) -> str:
    """The text escaped, and struck out if the cell diverged."""
    return f"<s>{escaped(text)}</s>" if cell.verdict == "diverged" else escaped(text)


def escaped(text: str) -> str:
    """Text as plotly shows it literally: it reads tags, entities, formulas between dollars, and templates in `%{}`."""
    return html.escape(text, quote=False).replace("$", "&#36;").replace("%{", "%&#123;")
