"""Clocks and power of the GPUs while a cell ran: whether they held what the windows took for granted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.units import scale, scaled
from report.cells import Cell, Group
from report.frame import Row
from report.layout import DASHES, NEUTRAL, Figure, axis, escaped, plain_layout, whose
from report.panels import NONE, Line, Panel, Section, Table
from report.values import at, finite, inside, items, text

OPEN_PANELS = 4  # more are folded
THROTTLED = "#D93F3F"  # 3:1 and more against both themes
SPAN = "rgba(128,135,145,0.18)"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one GPU said at one time; what it did not say is None."""

    at_s: float  # from the start of the cell's processes
    device: int
    sm_hz: float | None
    power_w: float | None
    throttle: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The slowest repeat of a cell whose GPUs were looked at with their times."""

    group: Group
    cell: Cell
    row: Row
    looks: Sequence[Look]

    @property
    def span(self) -> tuple[float, float] | None:
        """From the first window's beginning to the last one's end."""
        spans: Sequence[tuple[float, float]] = self.row["windows"]
        return (min(begin for begin, _ in spans), max(end for _, end in spans)) if spans else None

    @property
    def timed(self) -> list[Look]:
        """The looks while windows ran."""
        span = self.span
        return [one for one in self.looks if span and span[0] <= one.at_s <= span[1]]

    def of_device(self) -> Iterator[tuple[int, list[Look]]]:
        for device in sorted({one.device for one in self.looks}):
            yield device, [one for one in self.looks if one.device == device]


def section(groups: Sequence[Group], palette: Mapping[str, str]) -> Section:
    """One panel a cell."""
    found = [one for group in groups for cell in group.cells if (one := timeline(group, cell))]
    return Section(
        id="timeline",
        title="Clocks and power",
        intro="Clock of the multiprocessors and power of every GPU that could be seen, once a second, in the slowest "
        "repeat of a cell, from the start of its processes. The windows that were timed lie in the shaded part. A "
        "cross marks a clock that the driver held down; its hover text says why.",
        panels=[panel(one, palette) for one in found],
        table=table(found),
        folded=len(found) > OPEN_PANELS,
        wide=True,
    )


def timeline(group: Group, cell: Cell) -> Timeline | None:
    """Of the repeat with the longest step; None where its GPUs were not looked at, or without times."""
    rows = sorted((row for row in cell.ok if row["step_s"]), key=lambda row: -row["step_s"])
    if not rows:
        return None
    looks = list(looked(rows[0]))
    return Timeline(group=group, cell=cell, row=rows[0], looks=looks) if looks else None


def looked(row: Row) -> Iterator[Look]:
    """The looks that have a time and say something."""
    for look in items(at(row["machine_map"], "gpus_seen.during")):
        for device, one in enumerate(items(look)):
            at_s, sm_hz, power_w = (finite(inside(one, (name,))) for name in ("at_s", "sm_hz", "power_w"))
            if at_s is not None and (sm_hz, power_w) != (None, None):
                throttle = [text(reason) or "?" for reason in items(inside(one, ("throttle",)))]
                yield Look(at_s=at_s, device=device, sm_hz=sm_hz, power_w=power_w, throttle=throttle)


def panel(one: Timeline, palette: Mapping[str, str]) -> Panel:
    held = [look for look in one.looks if look.throttle]
    clock, power = ([look.sm_hz for look in one.timed], "Hz"), ([look.power_w for look in one.timed], "W")
    caption = f"Held down in {len(held)} of {len(one.looks)} looks: {', '.join(reasons(held))}." if held else ""
    return Panel(
        title=f"{one.group.title}: {one.cell.label}",
        setting=f"{one.group.setting}, round {(one.row['repeat'] or 0) + 1}",
        caption=caption,
        alt=f"Line chart, clock and power over time of {one.cell.label}, {one.group.title}: while windows ran clock "
        f"{middle(*clock)}, power {middle(*power)}. {caption or 'No clock was held down.'}",
        figure=figure(one, palette),
    )


def reasons(looks: Sequence[Look]) -> list[str]:
    return sorted({reason for one in looks for reason in one.throttle})


def middle(values: Sequence[float | None], unit: str) -> str:
    """The median with the extremes."""
    known = [value for value in values if value is not None]
    if not known:
        return NONE
    return f"{scaled(median(known), unit)} ({scaled(min(known), unit)} to {scaled(max(known), unit)})"


def figure(one: Timeline, palette: Mapping[str, str]) -> Figure:
    """The clock above, the power below, over the same time."""
    hertz, hertz_unit = scale([look.sm_hz for look in one.looks if look.sm_hz is not None], "Hz")
    watts, watts_unit = scale([look.power_w for look in one.looks if look.power_w is not None], "W")
    traces: list[dict[str, Any]] = []
    for device, looks in one.of_device():
        line = {"color": palette.get(one.cell.impl, NEUTRAL), "width": 2, "dash": DASHES[device % len(DASHES)]}
        clock = [None if look.sm_hz is None else look.sm_hz / hertz for look in looks]
        power = [None if look.power_w is None else look.power_w / watts for look in looks]
        told = {"name": f"GPU {device}", "legendgroup": str(device), "line": line, "mode": "lines"}
        traces += [
            trace(one, looks, clock) | told,
            trace(one, looks, power) | told | {"yaxis": "y2", "showlegend": False},
        ]
    if held := [look for look in one.looks if look.throttle and look.sm_hz is not None]:
        cross = {"symbol": "x", "size": 9, "color": THROTTLED}
        marks = trace(one, held, [(look.sm_hz or 0.0) / hertz for look in held])
        traces.append(marks | {"name": "held down", "mode": "markers", "marker": cross})
    return {"data": traces, "layout": layout(one.span, hertz_unit, watts_unit)}


def trace(one: Timeline, looks: Sequence[Look], values: Sequence[float | None]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [look.at_s for look in looks],
        "y": list(values),
        "meta": whose(one.cell),
        "hoverinfo": "text",
        "hovertext": [hover(one.cell, look) for look in looks],
    }


def hover(cell: Cell, look: Look) -> str:
    lines = [
        cell.label,
        f"GPU {look.device} after {scaled(look.at_s, 's')}",
        *([f"clock {scaled(look.sm_hz, 'Hz')}"] if look.sm_hz is not None else []),
        *([f"power {scaled(look.power_w, 'W')}"] if look.power_w is not None else []),
        *([f"held down: {', '.join(look.throttle)}"] if look.throttle else []),
        f"cell {cell.id}",
    ]
    return "<br>".join(map(escaped, lines))


def layout(span: tuple[float, float] | None, clock: str, power: str) -> dict[str, Any]:
    """Two charts over one time, with the windows' part shaded."""
    shaded = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "line": {"width": 0}, "fillcolor": SPAN}
    return plain_layout(380) | {
        "xaxis": axis("time since the cell's start, s") | {"anchor": "y2", "rangemode": "tozero"},
        "yaxis": axis(f"clock, {clock}") | {"domain": [0.55, 1], "rangemode": "tozero", "nticks": 5},
        "yaxis2": axis(f"power, {power}") | {"domain": [0, 0.45], "rangemode": "tozero", "nticks": 5},
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "margin": {"l": 62, "r": 12, "t": 44, "b": 44},
        "shapes": [shaded | {"x0": span[0], "x1": span[1], "layer": "below"}] if span else [],
    }


def table(found: Sequence[Timeline]) -> Table:
    """What the GPUs did while windows ran."""
    head = ["what", "cell", "round", "clock", "power", "held down", "setting"]
    lines = [
        Line(
            values=[
                one.group.title,
                one.cell.label,
                str((one.row["repeat"] or 0) + 1),
                middle([look.sm_hz for look in one.timed], "Hz"),
                middle([look.power_w for look in one.timed], "W"),
                ", ".join(reasons(one.timed)) or "no",
                one.group.setting,
            ],
            cell=one.cell.id,
        )
        for one in found
    ]
    return Table(head=head, lines=lines, numeric=frozenset((2, 3, 4)))
