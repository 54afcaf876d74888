"""How quiet the machine was while a run was measured."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench.metrics import NOISE
from bench.windows import TAKEN
from report.cells import FRAMEWORKS, Cell, Group, framework_order
from report.frame import Row
from report.layout import NEUTRAL, SYMBOLS, Figure, axis, curve_layout, escaped, whose
from report.panels import NONE, Line, Panel, Section, Table

DRIFT = "Step over the cell's median"
Sample = tuple[Group, Cell, Row]


def section(groups: Sequence[Group], palette: Mapping[str, str]) -> Section:
    """One panel for each kind of disturbance, over the run's records in the order they were made."""
    samples = sorted(((g, c, row) for g in groups for c in g.cells for row in c.ok), key=made)
    medians = {
        cell.id: median(found) for _, cell, _ in samples if (found := [r["step_s"] for r in cell.ok if r["step_s"]])
    }
    kinds: list[tuple[str, list[tuple[Sample, float]]]] = [
        (metric.label, [(one, 100 * one[2][metric.name]) for one in samples if one[2][metric.name] is not None])
        for metric in NOISE
    ]
    drift = [(one, 100 * (one[2]["step_s"] / medians[one[1].id] - 1)) for one in samples if one[2]["step_s"]]
    kinds.append((DRIFT, drift if any(len(cell.ok) > 1 for _, cell, _ in samples) else []))
    kinds.append(("Clock of the GPU", [(one, hz / 1e6) for one in samples if (hz := clock(one[2]))]))
    shown = [(label, found) for label, found in kinds if found]
    told = aside([row for _, _, row in samples])
    return Section(
        id="noise",
        title="Noise along the run",
        intro="Each record at the time it was made: the share of its cores' time that others used or the hypervisor "
        f"took, how far its step is from the median of its own cell, and the clock where a GPU tells it.{told}",
        panels=[panel(label, found, palette) for label, found in shown],
        table=table(shown),
        wide=True,
        folded=True,
    )


def aside(rows: Sequence[Row]) -> str:
    """How many windows do not count, and where all had to count; empty where others took too little of the cores."""
    counts, busy = sum(row["windows_aside"] or 0 for row in rows), sum(row["busy_throughout"] or 0 for row in rows)
    total, share = sum(row["window_count"] or 0 for row in rows), f"more than {100 * TAKEN:.0f} % of the cores"
    said = f" {counts} of {total} windows do not count: others took {share} in them." if counts else ""
    held = f" Others took {share} in most windows of {busy} of {len(rows)} records: there all count." if busy else ""
    return said + held


def made(sample: Sample) -> tuple[str, str, int]:
    row = sample[2]
    return row["run"] or "", when(row) or "", row["repeat"] or 0


def clock(row: Row) -> float | None:
    """The mean clock of the first GPU while the cell ran, in Hz; None where no GPU was seen."""
    try:
        found = [float(one[0]["sm_hz"]) for one in row["machine_map"]["gpus_seen"]["during"]]
    except (LookupError, TypeError, ValueError):
        return None
    return sum(found) / len(found) if found else None


def unit(label: str) -> str:
    return "MHz" if "Clock" in label else "%"


def panel(label: str, found: Sequence[tuple[Sample, float]], palette: Mapping[str, str]) -> Panel:
    numbers = [value for _, value in found]
    told = f"median {median(numbers):.1f}, from {min(numbers):.1f} to {max(numbers):.1f} {unit(label)}"
    return Panel(
        title=label,
        setting=f"{len(found)} records",
        caption=told[0].upper() + told[1:] + ".",
        alt=f"Scatter chart, {label.lower()} by time: {told}.",
        figure=figure(label, found, palette),
    )


def figure(label: str, found: Sequence[tuple[Sample, float]], palette: Mapping[str, str]) -> Figure:
    """A trace a framework."""
    impls: dict[str, list[tuple[Sample, float]]] = {}
    for one in found:
        impls.setdefault(one[0][1].impl, []).append(one)
    traces: list[dict[str, Any]] = []
    for place, impl in enumerate(sorted(impls, key=framework_order)):
        members = impls[impl]
        traces.append({
            "type": "scatter", "mode": "markers", "name": escaped(FRAMEWORKS.get(impl, impl)),
            "x": [when(row) for (_, _, row), _ in members], "y": [value for _, value in members],
            "marker": {"color": palette.get(impl, NEUTRAL), "size": 6, "symbol": SYMBOLS[place % len(SYMBOLS)]},
            "meta": whose([cell for (_, cell, _), _ in members]), "hoverinfo": "text",
            "hovertext": [
                "<br>".join(map(escaped, (cell.label, group.title, f"{value:.2f} {unit(label)}", f"cell {cell.id}")))
                for (group, cell, _), value in members
            ],
        })  # fmt: skip
    timed = any(one["x"][0] is not None for one in traces)
    x = axis("time, UTC" if timed else "") | ({"type": "date"} if timed else {})
    return {"data": traces, "layout": curve_layout(x, axis(unit(label)), 300)}


def when(row: Row) -> str | None:
    found = row["started_at"]
    return str(found)[:19] if found is not None else None  # strftime knows no year before 1


def table(shown: Sequence[tuple[str, Sequence[tuple[Sample, float]]]]) -> Table:
    """The median and the extremes of each cell."""
    by_cell: dict[str, dict[str, list[float]]] = {}
    names: dict[str, tuple[Group, Cell]] = {}
    for label, found in shown:
        for (group, cell, _), value in found:
            names[cell.id] = (group, cell)
            by_cell.setdefault(cell.id, {}).setdefault(label, []).append(value)
    head = ["what", "cell", *(f"{label.lower()}, {unit(label)}" for label, _ in shown), "setting"]
    lines = [
        Line(
            values=[group.title, cell.label, *(spread(by_cell[id].get(label)) for label, _ in shown), group.setting],
            cell=id,
        )
        for id, (group, cell) in names.items()
    ]
    return Table(head=head, lines=lines, numeric=frozenset(range(2, 2 + len(shown))))


def spread(found: Sequence[float] | None) -> str:
    return f"{median(found):.1f} ({min(found):.1f} to {max(found):.1f})" if found else NONE
