"""What a lower precision gains in speed, and what it costs in accuracy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.stats import Estimate
from bench.units import digits, share
from report.cells import CELL, PRECISIONS, Cell, Group, ratio, short
from report.layout import NEUTRAL, Figure, bounds, escaped, row_layout, whose
from report.panels import NONE, Line, Panel, Section, Table

BASE = "fp32"


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A cell against the same one in float32."""

    group: Group
    cell: Cell
    found: Estimate  # rate over the rate in float32, paired by round

    @property
    def drift(self) -> float | None:
        """The largest relative difference of a loss from float64's, over the steps that were retraced."""
        return next((row["drift_max"] for row in self.cell.ok if row["drift_max"] is not None), None)

    @property
    def label(self) -> str:
        return short(f"{self.cell.label} {self.group.precision}")


def gains(groups: Sequence[Group]) -> Iterator[Gain]:
    """Every cell in another precision that has its counterpart in float32, none of them diverged."""
    bases: dict[str, Cell] = {}
    for group in groups:
        if group.precision == BASE:
            bases |= {key(cell): cell for cell in group.cells if cell.ranked}
    for group in groups:
        for cell in group.cells:
            base = bases.get(key(cell))
            known = base and group.precision != BASE and group.precision in PRECISIONS and cell.ranked
            if base and known and (found := ratio(cell, base, "throughput_per_s")):
                yield Gain(group=group, cell=cell, found=found)


def key(cell: Cell) -> str:
    row = cell.rows[0]
    return repr([row[name] for name in (*CELL, "spec_hash") if name != "precision"])


def section(groups: Sequence[Group], palette: Mapping[str, str]) -> Section:
    """One panel a task: a row for each framework, variant and precision."""
    tasks: dict[str, list[Gain]] = {}
    for one in gains(groups):
        tasks.setdefault(f"{one.group.title}, {one.group.common}", []).append(one)
    lines = [
        Line(
            values=[
                one.group.title,
                one.label,
                f"{one.found.mean:.3f}",
                interval(one.found),
                drift(one),
                one.group.common,
            ],
            cell=one.cell.id,
        )
        for members in tasks.values()
        for one in members
    ]
    head = ["what", "cell", f"rate over {BASE}", "95 % interval", "drift", "setting"]
    return Section(
        id="precision",
        title="What a precision gains and costs",
        intro=f"The rate over that of the same cell in {BASE}, paired by round; right of the line is faster. Drift is "
        "the largest relative difference of a loss from float64's over the first 100 steps.",
        panels=[panel(members, palette) for members in tasks.values()],
        table=Table(head=head, lines=lines, numeric=frozenset((2, 3, 4))),
    )


def interval(found: Estimate) -> str:
    return NONE if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"


def drift(one: Gain) -> str:
    return NONE if one.drift is None else share(one.drift)


def panel(members: Sequence[Gain], palette: Mapping[str, str]) -> Panel:
    group = members[0].group
    said = "; ".join(f"{one.label} {digits(one.found.mean)} times, drift {drift(one)}" for one in members)
    return Panel(
        title=group.title,
        setting=group.common,
        caption="",
        alt=f"Rate of each precision over {BASE}, with its drift, of {group.title}, {group.common}: {said}.",
        figure=figure(members, palette),
    )


def figure(members: Sequence[Gain], palette: Mapping[str, str]) -> Figure:
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [one.found.mean for one in members],
        "y": list(range(len(members))),
        "marker": {"color": [palette.get(one.cell.impl, NEUTRAL) for one in members], "size": 10, "symbol": "diamond"},
        "error_x": bounds([one.found for one in members], 1),
        "meta": whose([one.cell for one in members]),
        "hoverinfo": "text",
        "hovertext": ["<br>".join(map(escaped, told(one))) for one in members],
    }
    rows = [(one.cell.id, escaped(one.label), escaped(gained(one))) for one in members]
    layout = row_layout(rows, f"rate over {BASE}")
    line = {"color": NEUTRAL, "dash": "dot", "width": 1}
    layout["shapes"] = [
        {"type": "line", "yref": "paper", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "line": line, "layer": "below"}
    ]
    return {"data": [trace], "layout": layout}


def gained(one: Gain) -> str:
    return f"× {digits(one.found.mean)}{'' if one.drift is None else f', drift {drift(one)}'}"


def told(one: Gain) -> list[str]:
    return [
        one.label, f"{digits(one.found.mean)} times the rate in {BASE}", f"95 % interval {interval(one.found)}",
        f"drift {drift(one)}", one.cell.repeats, f"cell {one.cell.id}",
    ]  # fmt: skip
