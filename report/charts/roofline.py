"""Each cell under the roof of its device: the rate that it reaches, by its arithmetic for each byte (Williams 2009)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import traffic
from bench.attainable import Ceiling
from bench.metrics import DISTURBED
from bench.peaks import Peak, peak
from bench.stats import Estimate
from bench.units import digits, scale, scaled, shown
from report.cells import BY_NAME, FRAMEWORKS, Cell, Group, emulated, estimate, short
from report.layout import NEUTRAL, SYMBOLS, Figure, axis, bounds, curve_layout, escaped, whose
from report.panels import NONE, Line, Panel, Section, Table

RATE, UNIT = "flops_per_s", "FLOP/s"
MARGIN = 3  # times beyond the outermost point, or the roof's edge
FEW_DECADES = 2.5  # of an axis, below which ticks between powers of ten have room
PLOT_PX, LINE_PX = 340, 20  # height of a chart, and of a line of its legend
INTRO = (
    "Each cell by its arithmetic for each byte and the rate that it reaches on one device. The solid roof is what this "
    "run attained on that device: on its slope by copying, on its flat by a product of matrices, each the best of the "
    "run's frameworks. The dotted one is what the maker states. The bytes are those that a step cannot avoid moving: "
    "parameters, gradients and the optimizer's slots, read and written once, and the batch. A step moves more, "
    "activations above all, so that each point's true place is left of where it stands. Emulated devices are left "
    "out: they share one processor."
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A cell that has a place in the chart."""

    group: Group
    cell: Cell
    device: str
    rate: Estimate  # FLOP/s of one device
    intensity: float  # FLOP for each byte, at most
    ceiling: Ceiling | None
    peak: Peak | None

    @property
    def label(self) -> str:
        devices = self.group.first["devices"]
        return short(f"{self.group.title} {self.cell.label}{f' ×{devices}' if devices > 1 else ''}")

    @property
    def peak_flops_per_s(self) -> float | None:
        return self.peak.flops_per_s(self.group.precision) if self.peak else None


def points(groups: Sequence[Group]) -> Iterator[Point]:
    """Cells of which the device is known, and something that it can do."""
    for group in groups:
        for cell in group.cells:
            row = next(iter(cell.ok), None)
            found = estimate(cell, RATE)
            if row is None or found is None or not row["device"] or not row["devices"] or emulated(row):
                continue
            known = None if row["platform"] == "cpu" else peak(row["device"])
            known = known if known and known.flops_per_s(group.precision) else None
            most = traffic.intensity(row, row["flops_per_step"])
            if most and (row["ceiling"] or known):
                yield Point(
                    group=group, cell=cell, device=row["device"], rate=divided(found, row["devices"]),
                    intensity=most, ceiling=row["ceiling"], peak=known,
                )  # fmt: skip


def divided(found: Estimate, by: int) -> Estimate:
    low, high = (None if one is None else one / by for one in (found.low, found.high))
    return Estimate(mean=found.mean / by, low=low, high=high, count=found.count)


def section(groups: Sequence[Group], palette: Mapping[str, str]) -> Section:
    """One panel a device and precision: a roof, a point a cell."""
    charts: dict[tuple[str, str], list[Point]] = {}
    for point in points(groups):
        charts.setdefault((point.device, point.group.precision), []).append(point)
    head = [
        "device", "precision", "cell", "reaches", "of the attained", "MFU", "FLOP/B at most",
        "attained by a product", "of the maker's", "attained by copying", "of the maker's",
    ]  # fmt: skip
    return Section(
        id="roofline",
        title="Roofline",
        intro=INTRO,
        panels=[panel(members, palette) for members in charts.values()],
        table=Table(
            head=head,
            lines=[Line(values=values(one), cell=one.cell.id) for members in charts.values() for one in members],
            numeric=frozenset(range(3, len(head))),
        ),
        wide=True,
    )


def values(one: Point) -> list[str]:
    """A cell's row of the table."""
    ceiling, known = one.ceiling, one.peak
    product, copied = (ceiling.flops_per_s, ceiling.copy_bytes_per_s) if ceiling else (None, None)
    return [
        one.device, one.group.precision, one.label, shown(one.rate, UNIT),
        of_metric(one, "attainable_share"), of_metric(one, "mfu"), digits(one.intensity),
        NONE if product is None else scaled(product, UNIT), quotient(product, one.peak_flops_per_s),
        NONE if copied is None else scaled(copied, "B/s"), quotient(copied, known and known.bytes_per_s),
    ]  # fmt: skip


def quotient(part: float | None, whole: float | None) -> str:
    return NONE if part is None or whole is None else scaled(part / whole, "")


def of_metric(one: Point, name: str) -> str:
    found = estimate(one.cell, name)
    return NONE if found is None else scaled(found.mean, BY_NAME[name].unit)


def panel(members: Sequence[Point], palette: Mapping[str, str]) -> Panel:
    first = members[0]
    said = "; ".join(f"{one.label} {scaled(one.rate.mean, UNIT)} at {digits(one.intensity)} FLOP/B" for one in members)
    return Panel(
        title=short(first.device),
        setting=short(first.group.precision),
        caption=". ".join(roofs_in_words(first)) + ".",
        alt=f"Roofline chart of {first.device} at {first.group.precision}. {'; '.join(roofs_in_words(first))}. {said}.",
        figure=figure(members, palette),
    )


def roofs_in_words(one: Point) -> Iterator[str]:
    """What the roofs are made of."""
    if one.ceiling and one.ceiling.flops_per_s:
        yield f"Attained {scaled(one.ceiling.flops_per_s, UNIT)} by a product of {named(one.ceiling.product_by)}"
    if one.ceiling and one.ceiling.copy_bytes_per_s:
        yield f"Attained {scaled(one.ceiling.copy_bytes_per_s, 'B/s')} by a copy of {named(one.ceiling.copy_by)}"
    if one.ceiling and one.ceiling.others > DISTURBED:
        yield f"Others took {scaled(one.ceiling.others, '')} of the processor's time in that product: it can do more"
    if one.peak and one.peak_flops_per_s:
        yield f"The maker states {scaled(one.peak_flops_per_s, UNIT)} and {scaled(one.peak.bytes_per_s, 'B/s')}"


def named(by: str) -> str:
    """For people: `jax jit` is JAX jit."""
    impl, _, variant = by.partition(" ")
    return short(f"{FRAMEWORKS.get(impl, impl)} {variant}")


def figure(members: Sequence[Point], palette: Mapping[str, str]) -> Figure:
    ceiling, known = members[0].ceiling, members[0].peak
    roofs = [
        ("attained", "solid", ceiling and ceiling.flops_per_s, ceiling and ceiling.copy_bytes_per_s),
        ("stated by the maker", "dot", members[0].peak_flops_per_s, known and known.bytes_per_s),
    ]
    edges = [flat / slope for _, _, flat, slope in roofs if flat and slope]
    at = [*edges, *(one.intensity for one in members)]
    span = (min(at) / MARGIN, max(at) * MARGIN)
    traces = [roof(name, dash, flat, slope, span) for name, dash, flat, slope in roofs if flat]
    tasks = list(dict.fromkeys(one.group.title for one in members))
    series: dict[tuple[str, str], list[Point]] = {}
    for one in members:
        series.setdefault((one.cell.label, one.group.title), []).append(one)
    traces += [marks(of, SYMBOLS[tasks.index(of[0].group.title) % len(SYMBOLS)], palette) for of in series.values()]
    heights = [flat for _, _, flat, _ in roofs if flat]
    heights += [side for one in members for side in (one.rate.low or one.rate.mean, one.rate.high or one.rate.mean)]
    rise = (min(heights) / MARGIN, max(heights) * MARGIN)
    x, y = logarithmic("FLOP/B at most", span, ""), logarithmic(UNIT, rise, UNIT)
    layout = curve_layout(x, y, PLOT_PX + LINE_PX * len(traces))
    return {"data": traces, "layout": layout}


def logarithmic(title: str, span: tuple[float, float], unit: str) -> dict[str, Any]:
    """An axis whose ticks are read as numbers with their prefix; each decade, and more where there are few."""
    first, last = map(math.log10, span)
    decades = [10.0**n for n in range(math.floor(first), math.ceil(last) + 1)]
    steps = (1, 2, 5) if last - first < FEW_DECADES else (1,)
    ticks = [step * one for one in decades for step in steps if span[0] <= step * one <= span[1]]
    texts = [tick(one, unit) for one in ticks]
    return axis(title) | {"type": "log", "range": [first, last], "tickvals": ticks, "ticktext": texts}


def tick(value: float, unit: str) -> str:
    if not unit:
        return f"{value:g}"
    factor, name = scale([value], unit)
    return f"{value / factor:g} {name.removesuffix(unit)}"


def roof(name: str, dash: str, flat: float, slope: float | None, span: tuple[float, float]) -> dict[str, object]:
    """The lesser of what the arithmetic and the memory allow, from one end of the chart to the other."""
    first, last = span
    x: list[float] = [first, *([flat / slope] if slope else []), last]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": [min(flat, slope * one) if slope else flat for one in x],
        "line": {"color": NEUTRAL, "width": 2, "dash": dash},
        "hoverinfo": "skip",
    }


def marks(members: Sequence[Point], symbol: str, palette: Mapping[str, str]) -> dict[str, object]:
    first = members[0]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escaped(short(f"{first.cell.label}, {first.group.title}")),
        "x": [one.intensity for one in members],
        "y": [one.rate.mean for one in members],
        "error_y": bounds([one.rate for one in members], 1),
        "marker": {"color": palette.get(first.cell.impl, NEUTRAL), "symbol": symbol, "size": 10},
        "meta": whose([one.cell for one in members]),
        "hoverinfo": "text",
        "hovertext": ["<br>".join(map(escaped, told(one))) for one in members],
    }


def told(one: Point) -> list[str]:
    return [
        one.label, one.group.setting, f"{shown(one.rate, UNIT)} on a device",
        f"{of_metric(one, 'attainable_share')} of the attained, MFU {of_metric(one, 'mfu')}",
        f"{digits(one.intensity)} FLOP/B at most", one.cell.repeats, f"cell {one.cell.id}",
    ]  # fmt: skip
