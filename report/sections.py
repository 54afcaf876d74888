"""The charts of a run in the order of the page, each with its words and its table.

To add one: a function that takes the groups and the colours, and its line in `sections`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bench.metrics import METRICS
from bench.units import share, shown
from report import figures, tables
from report.cells import BY_NAME, Group, estimate, short
from report.cells import groups as grouped
from report.charts import breakeven, latency, matrix, memory, noise, precision, roofline, timeline
from report.devices import sections as devices
from report.layout import HATCHES, colours, show
from report.panels import Panel, Section
from report.trajectories import largest_difference, loss_names

Palette = Mapping[str, str]
THROUGHPUT = "throughput_per_s"
MEMORY = tuple(metric.name for metric in METRICS if metric.unit == "B")
COSTS = ("joules_per_item", "price_per_million")
SHOWN_APART = (THROUGHPUT, *MEMORY, *COSTS, *(name for name, _ in figures.PHASES), "cold_start_s")
BETTER = {"higher": "Longer is better.", "lower": "Shorter is better."}


def sections(place: int, groups: Sequence[Group], palette: Palette) -> list[Section]:
    """All sections that have something to show; `place` keeps the ids of several runs apart."""
    found = [
        matrix.section(groups, palette),
        throughput(groups, palette),
        precision.section(groups, palette),
        roofline.section(groups, palette),
        devices.rates(groups, palette),
        devices.scaling(groups, palette),
        devices.parts(groups, palette),
        devices.all_reduces(groups, palette),
        losses(groups, palette),
        *(of_metric(groups, palette, name) for name in MEMORY),
        memory.section(groups, palette),
        devices.memory_by_devices(groups, palette),
        *(costs(groups, palette, name) for name in COSTS),
        cold_start(groups, palette),
        breakeven.section(groups, palette),
        latency.section(groups, palette),
        noise.section(groups, palette),
        timeline.section(groups, palette),
        *(of_metric(groups, palette, metric.name, folded=True) for metric in METRICS if metric.name not in SHOWN_APART),
    ]
    return [replace(one, id=f"run{place}-{one.id}") for one in found if one.panels]


def draw(data: pd.DataFrame) -> dict[str, Any]:
    """The charts of a frame as plotly's own figures, by section and place, such as `losses-1`; of a part of it too.

    `report.draw(frame[frame["workload"] == "lm"])["throughput_per_s-1"]` shows one in a notebook.
    """
    found = grouped(data)
    palette = colours([cell.impl for group in found for cell in group.cells])
    return {
        f"{section.id.removeprefix('run1-')}-{n}": show(panel.figure)
        for section in sections(1, found, palette)
        for n, panel in enumerate(section.panels, 1)
    }


def throughput(groups: Sequence[Group], palette: Palette) -> Section:
    intro = (
        "Work over time in the steady state, from the middle of each repeat's windows; the whiskers are the 95 % "
        "interval of the mean over repeats. Longer is better. A cell that diverged is struck out and takes no part in "
        "rankings."
    )
    return replace(of_metric(groups, palette, THROUGHPUT), intro=intro)


def of_metric(groups: Sequence[Group], palette: Palette, name: str, *, folded: bool = False) -> Section:
    """One metric in every group that has it."""
    panels = [
        Panel(
            title=group.title,
            setting=group.setting,
            caption="",
            alt=_alt(group, name),
            figure=figures.bars(group, name, palette),
        )
        for group in groups
        if any(estimate(cell, name) for cell in group.cells) or name == THROUGHPUT
    ]
    metric = BY_NAME[name]
    intro, table = BETTER[metric.better], tables.metric(groups, name)
    return Section(id=name, title=metric.label, intro=intro, panels=panels, table=table, folded=folded)


def costs(groups: Sequence[Group], palette: Palette, name: str) -> Section:
    """What an item takes besides time."""
    what = {
        "joules_per_item": "What the cell's devices took while the windows ran, whole devices with their idle power, "
        "over the items of those windows. The host is not in it where the devices are GPUs.",
        "price_per_million": "What the cell's devices cost for the time that a million items take, at the price of an "
        "hour that was given, in its currency.",
    }
    section = of_metric(groups, palette, name)
    return replace(section, intro=f"{what[name]} {section.intro}")


def _alt(group: Group, name: str) -> str:
    said = [
        f"{cell.label} {shown(found, group.unit(name)) if (found := estimate(cell, name)) else cell.status}"
        f"{' (diverged)' if cell.ok and cell.verdict == 'diverged' else ''}"
        for cell in group.cells
    ]
    return f"Bar chart, {BY_NAME[name].label.lower()} of {group.title}, {group.setting}: {'; '.join(said)}."


def losses(groups: Sequence[Group], palette: Palette) -> Section:
    intro = (
        "The losses of the first steps, from the same parameters and batches. The lines lie inside each other where "
        "frameworks coincide, so every colour shows. Below them: how far each is from float64, relative to it."
    )
    panels = [
        Panel(
            title=f"{group.title}: {short(name.replace('_', ' '))} loss",
            setting=group.setting,
            caption=_loss_caption(group, name),
            alt=f"Line chart, {name} loss of {group.title} over the first steps. {_loss_caption(group, name)}",
            figure=figures.losses(group, name, palette),
        )
        for group in groups
        for name in loss_names(group)
    ]
    title, table = "The same losses, step by step", tables.losses(groups)
    return Section(id="losses", title=title, intro=intro, panels=panels, table=table, wide=True)


def _loss_caption(group: Group, name: str) -> str:
    largest = largest_difference(group, name)
    if largest is None:
        return "One cell alone: nothing to compare it with."
    off, step, label, base = largest
    return (
        f"Largest relative difference: {share(off)}, {label} from {base} at step {step}."
        if off
        else "Equal to the last bit."
    )


def cold_start(groups: Sequence[Group], palette: Palette) -> Section:
    intro = (
        "What comes before the first steady step: importing the framework, starting its runtime, building the model "
        "and running the first step. Only repeats with a cold compile cache count here. Shorter is better."
    )
    panels = [
        Panel(
            title=group.title,
            setting=group.setting,
            caption="",
            alt=_cold_alt(group),
            figure=figures.cold_start(group, palette, legend=False),
        )
        for group in groups
        if any(figures.cold(cell) for cell in group.cells)
    ]
    table, key = tables.cold_start(groups), [(HATCHES[hatch], BY_NAME[name].label) for name, hatch in figures.PHASES]
    return Section(id="cold-start", title="Cold start", intro=intro, panels=panels, table=table, key=key)


def _cold_alt(group: Group) -> str:
    said: list[str] = []
    for cell in group.cells:
        cold = figures.cold(cell)
        found = [(BY_NAME[name].label.lower(), estimate(cell, name, cache="cold")) for name, _ in figures.PHASES]
        phases = [f"{label} {shown(one, 's')}" for label, one in found]
        said.append(f"{cell.label} {', '.join(phases) if cold else cell.status}")
    return f"Stacked bar chart, cold start of {group.title}: {'; '.join(said)}."
