"""What the page shows of cells on several devices."""

from collections.abc import Mapping, Sequence
from typing import Any

from report.cells import BY_NAME, Group, emulated
from report.charts import memory
from report.devices import counts, efficiency, exchanges
from report.layout import HATCHES, Figure
from report.panels import NONE, Panel, Section

Palette = Mapping[str, str]


def scaling(groups: Sequence[Group], palette: Palette) -> Section:
    """How cells scale with their devices."""
    found = efficiency.points(groups)
    intro = (
        "The rate of N devices over N times the rate of one device behind the same engine, from the same rounds. Where "
        "devices exchange nothing a step takes its computation; imbalance is how much longer the slowest device takes "
        "than their mean, exchange what the step takes on top of that. "
    )
    if any(emulated(point.found.cell) for point in found):
        intro += (
            "Emulated devices share the cores of one processor: they prove the mathematics, not what hardware does."
        )
    panels = [
        panel(
            members[0].group,
            members[0].found.cell,
            f"Line chart, efficiency by devices: {'; '.join(efficiency.told(point) for point in members)}.",
            efficiency.curve(members, palette),
        )
        for members in efficiency.charts(found)
    ]
    return Section(id="scaling", title="Scaling", intro=intro, panels=panels, table=efficiency.table(found))


def panel(group: Group, row: Mapping[str, Any], alt: str, figure: Figure) -> Panel:
    """A chart of cells that differ in their number of devices, of which `row` is one."""
    caption = "Emulated: this is not how hardware scales." if emulated(row) else ""
    return Panel(title=group.title, setting=efficiency.setting(row), caption=caption, alt=alt, figure=figure)


def rates(groups: Sequence[Group], palette: Palette) -> Section:
    """Throughput by the number of devices, beside what ideal scaling from one device would give."""
    return by_devices(
        groups, palette, "throughput_per_s", "scaling-rate", "Throughput by devices",
        "The rate of all devices together, from one device behind the same engine on; the dotted line of each is N "
        "times its rate on one device. In weak scaling the batch of a device stays, in strong that of all together.",
    )  # fmt: skip


def memory_by_devices(groups: Sequence[Group], palette: Palette) -> Section:
    name = memory.metric(groups) or memory.MEMORY[0]
    return by_devices(
        groups, palette, name, "memory-devices", "Memory by devices",
        f"{BY_NAME[name].label} of a cell, by the number of its devices. Shorter is better.",
    )  # fmt: skip


def parts(groups: Sequence[Group], palette: Palette) -> Section:
    """Where the time of a step on several devices goes."""
    found = efficiency.points(groups)
    panels = [
        panel(
            members[0].group,
            members[0].found.cell,
            f"Stacked bar chart, shares of a step: {'; '.join(_parts_alt(point) for point in members)}.",
            efficiency.parts(members, palette),
        )
        for members in efficiency.charts(found)
        if any(point.split for point in members)
    ]
    return Section(
        id="scaling-parts",
        title="Where a step's time goes",
        intro="Computation is what a step takes where devices exchange nothing; imbalance how much longer the slowest "
        "takes than their mean; exchange the rest, which nothing hides. On the right the efficiency.",
        panels=panels,
        table=efficiency.table(found),
        key=[(HATCHES[hatch], name) for name, hatch in efficiency.PARTS],
    )


def _parts_alt(point: efficiency.Point) -> str:
    said = [
        f"{name} {NONE if share is None else f'{share:.0f} %'}"
        for (name, _), share in zip(efficiency.PARTS, efficiency.shares(point), strict=True)
    ]
    return f"{efficiency.row_label(point)} {', '.join(said)}"


def by_devices(groups: Sequence[Group], palette: Palette, name: str, id: str, title: str, intro: str) -> Section:
    """A metric over the counts of devices of a sweep, one panel a task, precision and kind of scaling."""
    found = counts.series(groups, name)
    panels = [
        panel(
            members[0].group,
            members[-1].cell.rows[0],
            f"Line chart, {title.lower()}: {'; '.join(counts.said(one, name) for one in members)}.",
            counts.curve(members, name, palette),
        )
        for members in found
    ]
    return Section(id=id, title=title, intro=intro, panels=panels, table=counts.table(found, name))


def all_reduces(groups: Sequence[Group], palette: Palette) -> Section:
    """How fast devices exchange vectors of several sizes."""
    found = exchanges.exchanges(groups)
    intro = (
        "The mean over all devices of a float32 vector, in each framework's own transport, with nothing beside it. The "
        "bandwidth is the bus bandwidth of nccl-tests, 2·(N − 1)/N times the bytes over the seconds. The odd sizes are "
        "those of the workloads' gradients. Higher is better."
    )
    panels = [
        Panel(
            title=exchanges.title(members),
            setting="all-reduce by size",
            caption="Emulated: memory of one machine, no link." if emulated(members[0].cell.rows[0]) else "",
            alt=f"Line chart, bandwidth of all-reduces by size: {'; '.join(exchanges.told(one) for one in members)}.",
            figure=exchanges.curve(members, palette),
        )
        for members in exchanges.charts(found)
    ]
    table = exchanges.table(found)
    return Section(id="all-reduce", title="All-reduce", intro=intro, panels=panels, table=table, folded=True)
