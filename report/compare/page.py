"""A comparison as one offline HTML file."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from report import html, layout
from report.cells import Group, short
from report.compare import writing
from report.compare.comparison import Compared
from report.compare.differences import Difference
from report.filters import cell_data, filters
from report.layout import NEUTRAL, Figure
from report.panels import Line, Panel, Section, Table

SYMBOLS = {
    "faster": "triangle-right", "less": "triangle-left", "slower": "triangle-left", "more": "triangle-right",
    "same": "diamond", "undecided": "circle-open",
}  # fmt: skip
TICKS = ((0.98, 0.99, 1.01, 1.02), (0.9, 0.95, 1.05, 1.1), (0.8, 0.9, 1.1, 1.25), (0.5, 0.7, 1.4, 2), (0.2, 0.5, 2, 5))
NUMERIC = frozenset((2, 3, 4, 6))


def render(found: Compared) -> str:
    """The page's HTML."""
    palette = layout.colours(sorted({one.pair.new.impl for one in found.found}))
    sections = [
        section(place, name, members, palette) for place, (name, members) in enumerate(by_metric(found.found), 1)
    ]
    cells = cell_data([(one.pair.group, one.pair.new) for one in found.found], None)
    return html.render(
        "compare.html",
        title=found.title,
        summary=writing.summary(found),
        gate=writing.gate(found),
        failed=bool(found.regressions),
        notices=found.notices,
        changes=Table(head=["what differs", "BASE", "NEW"], lines=[Line(values=one) for one in found.changes]),
        means=[(who, writing.mean_text(mean)) for who, mean in writing.means(found.found)],
        sections=sections,
        lists=list(writing.lists(found)),
        filters=filters(cells.values()),
        data=html.pack({
            "cells": cells,
            "answers": {},
            "figures": {f"{one.id}-{n}": panel.figure for one in sections for n, panel in enumerate(one.panels, 1)},
            "tables": {one.id: html.plain(one.table, one.title) for one in sections},
        }),
    )  # fmt: skip


def by_metric(found: Sequence[Difference]) -> list[tuple[str, list[Difference]]]:
    kinds: dict[str, list[Difference]] = {}
    for one in found:
        kinds.setdefault(one.metric.label, []).append(one)
    return list(kinds.items())


def section(place: int, name: str, members: Sequence[Difference], palette: Mapping[str, str]) -> Section:
    """One metric: a panel for each group of cells."""
    groups: dict[str, list[Difference]] = {}
    for one in members:
        groups.setdefault(f"{one.pair.group.title}, {one.pair.group.setting}", []).append(one)
    better = "Right of the line NEW has the higher rate." if members[0].metric.better == "higher" else "Left is less."
    return Section(
        id=f"compare-{place}",
        title=name,
        intro=f"NEW over BASE with its 95 % interval. {better} Filled marks are told from noise, open circles are not.",
        panels=[panel(of[0].pair.group, of, palette) for of in groups.values()],
        table=table(members),
    )


def panel(group: Group, members: Sequence[Difference], palette: Mapping[str, str]) -> Panel:
    said = "; ".join(f"{label(one)} {text(one)}" for one in members)
    bases = dict.fromkeys(writing.base_name(one) for one in members if one.pair.base.id != one.pair.new.id)
    return Panel(
        title=group.title,
        setting=group.setting,
        caption=f"BASE: {', '.join(bases)}." if bases else "",
        alt=f"Ratios of {members[0].metric.label.lower()}, NEW over BASE, of {group.title}, {group.setting}: {said}.",
        figure=forest(members, palette),
    )


def label(one: Difference) -> str:
    """The newer cell; the caption says what it is compared with."""
    if one.pair.base.id == one.pair.new.id:
        return one.pair.new.label
    before, after = (cell.rows[0]["precision"] for cell in (one.pair.base, one.pair.new))
    return short(one.pair.new.label if before == after else f"{one.pair.new.label} {after}")


def text(one: Difference) -> str:
    return f"{one.found.ratio:.3f} {one.verdict}"


def forest(members: Sequence[Difference], palette: Mapping[str, str]) -> Figure:
    """One row a pair: its ratio with its interval, on a logarithmic axis around 1."""
    ratios = [one.found.ratio for one in members]
    ends = [one.found.high if one.found.high is not None else one.found.ratio for one in members]
    starts = [one.found.low if one.found.low is not None else one.found.ratio for one in members]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": ratios,
        "y": list(range(len(members))),
        "marker": {
            "color": [palette.get(one.pair.new.impl, NEUTRAL) for one in members],
            "symbol": [SYMBOLS[one.verdict] for one in members],
            "size": 11,
        },
        "error_x": {
            "type": "data", "symmetric": False, "color": NEUTRAL, "thickness": 1.5, "width": 5,
            "array": [end - ratio for end, ratio in zip(ends, ratios, strict=True)],
            "arrayminus": [ratio - start for start, ratio in zip(starts, ratios, strict=True)],
        },
        "meta": layout.whose([one.pair.new for one in members]),
        "hoverinfo": "text",
        "hovertext": [hover(one) for one in members],
    }  # fmt: skip
    found = layout.row_layout(
        [(one.pair.new.id, layout.escaped(label(one)), layout.escaped(text(one))) for one in members], "NEW / BASE"
    )
    ticks = ticks_of(min(starts), max(ends))
    span = [math.log10(min(*starts, *ticks)) - 0.002, math.log10(max(*ends, *ticks)) + 0.002]
    found["xaxis"] |= {"type": "log", "rangemode": "normal", "range": span, "tickvals": ticks}
    found["xaxis"] |= {"ticktext": [f"{one:g}" for one in ticks]}
    line = {"color": NEUTRAL, "dash": "dot", "width": 1}
    found["shapes"] = [
        {"type": "line", "yref": "paper", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "line": line, "layer": "below"}
    ]
    return {"data": [trace], "layout": found}


def ticks_of(low: float, high: float) -> list[float]:
    """Five round ratios around 1 that span what is drawn."""
    for fine in TICKS:
        if fine[0] <= low and high <= fine[-1]:
            return sorted((*fine, 1))
    return [0.01, 0.1, 1, 10, 100]


def hover(one: Difference) -> str:
    lines = [
        label(one), f"BASE: {writing.base_name(one)}", f"{one.metric.label}: NEW is {one.found.ratio:.4f} of BASE",
        f"95 % interval {writing.interval(one)}",
        f"verdict {one.verdict}", f"repeats of BASE and NEW: {one.found.counts[1]} and {one.found.counts[0]}",
        f"cell {one.pair.new.id}", *one.cautions,
    ]  # fmt: skip
    return "<br>".join(layout.escaped(line) for line in lines)


def table(members: Sequence[Difference]) -> Table:
    lines = [Line(values=writing.line(one), cell=one.pair.new.id) for one in members]
    return Table(head=list(writing.HEAD), lines=lines, numeric=NUMERIC)
