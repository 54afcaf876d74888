"""From when on a dearer start pays: the whole time of a cell, its cold start and then so many steps."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.metrics import BreakEven, Cost, break_even
from bench.units import digits, scaled
from report.cells import Cell, Group, listed
from report.layout import Figure, axis, curve_layout, escaped, look, whose
from report.neighbours import values
from report.panels import Line, Panel, Section, Table

POINTS = 25  # of a line; the axes are logarithmic
LONGEST = 1e7  # steps: cells that meet later hardly differ in a step, and the text says where they do


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a cell costs."""

    cell: Cell
    cost: Cost
    start_s: float
    step_s: float

    def total_s(self, steps: float) -> float:
        return self.start_s + steps * self.step_s


def starts(group: Group) -> list[Start]:
    """Cells of which a cold start and a step are known."""
    told = [
        (
            cell,
            values([row for row in cell.ok if row["compile_cache"] == "cold"], "cold_start_s"),
            values(cell.ok, "step_s"),
        )
        for cell in group.cells
        if cell.ranked
    ]
    costs = [(cell, Cost(starts=start, steps=steps)) for cell, start, steps in told if start and steps]
    return [Start(cell=cell, cost=cost, start_s=cost.start_s, step_s=cost.step_s) for cell, cost in costs]


def section(groups: Sequence[Group], palette: Mapping[str, str]) -> Section:
    """One panel a group of at least two cells."""
    known = [(group, found) for group in groups if len(found := starts(group)) > 1]
    lines = [
        Line(
            values=[group.title, one.cell.label, other.cell.label, crossing(told), group.setting],
            cell=f"{one.cell.id} {other.cell.id}",
        )
        for group, found in known
        for one, other, told in crossings(found)
    ]
    head = ["what", "cell", "against", "equally long after", "setting"]
    return Section(
        id="break-even",
        title="When a dearer start pays",
        intro="Seconds from a fresh interpreter with nothing compiled to the end of so many steps. Where two lines "
        "cross, both have taken equally long: from there on the one with the faster step is ahead.",
        panels=[panel(group, found, palette) for group, found in known],
        table=Table(head=head, lines=lines),
        wide=True,
        folded=True,
    )


def crossings(found: Sequence[Start]) -> Iterator[tuple[Start, Start, BreakEven]]:
    for one, other in combinations(found, 2):
        yield one, other, break_even(one.cost, other.cost)


def crossing(told: BreakEven) -> str:
    if told.steps is None:
        return told.reason or "never"
    bounds = "" if told.low is None or told.high is None else f" ({digits(told.low)} to {digits(told.high)})"
    return f"{digits(told.steps)} steps{bounds}"


def panel(group: Group, found: Sequence[Start], palette: Mapping[str, str]) -> Panel:
    told = [
        f"{one.cell.label} and {other.cell.label} after {crossing(told)}"
        for one, other, told in crossings(found)
        if told.steps is not None
    ]
    caption = f"Equally long: {listed(told)}." if told else "No two lines cross: who starts first stays ahead."
    return Panel(
        title=group.title,
        setting=group.setting,
        caption=caption,
        alt=f"Line chart, total time by number of steps of {group.title}, {group.setting}. {caption}",
        figure=figure(found, palette),
    )


def figure(found: Sequence[Start], palette: Mapping[str, str]) -> Figure:
    meets = [told.steps for _, _, told in crossings(found) if told.steps]
    last = min(max([1000.0, *(10 * one for one in meets)]), LONGEST)
    steps = [10 ** (math.log10(last) * n / (POINTS - 1)) for n in range(POINTS)]
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": escaped(one.cell.label),
            "x": steps,
            "y": [one.total_s(n) for n in steps],
            "line": look(one.cell, place, palette)["line"],
            "meta": whose(one.cell),
            "hoverinfo": "text",
            "hovertext": [
                "<br>".join(
                    map(escaped, (one.cell.label, f"{digits(n)} steps: {scaled(one.total_s(n), 's')}", one.cell.id))
                )
                for n in steps
            ],
        }
        for place, one in enumerate(found)
    ]
    decades = {"type": "log", "dtick": 1, "exponentformat": "power"}
    return {"data": traces, "layout": curve_layout(axis("steps") | decades, axis("s") | decades, 360)}
