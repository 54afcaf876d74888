"""Tables of a run, as text ready to show: the summary and one for each chart."""

from collections.abc import Iterable, Iterator, Sequence

from bench.units import digits, interval, share, shown
from report.cells import BY_NAME, Cell, Group, estimate, plural, short
from report.figures import PHASES
from report.panels import NONE, Line, Table
from report.trajectories import differences, held_against, loss_curves, loss_names

NUMERIC = (
    "throughput", "step", "memory over baseline", "difference from float64", "drift", "value", "95 % interval",
    "efficiency", "rate of a device", "computation", "imbalance", "exchange", "all-reduce of the gradients",
    "bandwidth",
    "first", "last", "steps", "largest difference", *(BY_NAME[name].label.lower() for name, _ in PHASES),
)  # fmt: skip
HASH_DIGITS = 12  # of a proof's key, enough to find it


def summary(groups: Sequence[Group]) -> Table:
    """One line a cell: what was measured, and what proves it."""
    return of_cells(
        (group, cell, {
            "throughput": in_words(group, cell, "throughput_per_s"),
            "step": in_words(group, cell, "step_s"),
            "memory over baseline": in_words(group, cell, "host_memory_bytes"),
            **_parity(cell),
            "repeats": cell.repeats,
        })
        for group, cell in _each(groups)
    )  # fmt: skip


def metric(groups: Sequence[Group], name: str) -> Table:
    """One line a cell: a metric with its interval."""
    return of_cells(
        (group, cell, {
            "value": in_words(group, cell, name),
            "95 % interval": interval(estimate(cell, name), group.unit(name)) or NONE,
            "repeats": cell.repeats,
            "verdict": cell.verdict if cell.ok else NONE,
            "cell id": cell.id,
        })
        for group, cell in _each(groups)
    )  # fmt: skip


def cold_start(groups: Sequence[Group]) -> Table:
    """One line for each cell and state of the compile cache: the phases before the steady state."""
    return of_cells(
        (group, cell, {
            **{BY_NAME[name].label.lower(): shown(estimate(cell, name, cache=cache), "s") for name, _ in PHASES},
            "process": ", ".join(sorted({row["start"] or "?" for row in rows})),
            "compile cache": cache,
            "repeats": plural(len(rows), "repeat"),
        })
        for group, cell in _each(groups)
        for cache in ("cold", "warm")
        if (rows := [row for row in cell.ok if row["compile_cache"] == cache])
    )  # fmt: skip


def losses(groups: Sequence[Group]) -> Table:
    """One line for each cell and loss: where it starts and ends, how far it is from float64's or the first cell's."""
    return of_cells(
        (group, cell, {
            "loss": short(name),
            "first": digits(curve[0]),
            "last": digits(curve[-1]),
            "steps": str(len(curve)),
            "largest difference": share(max(differences(values, curve))) if away else NONE,
            "from": base if away else NONE,
        })
        for group in groups
        for name in loss_names(group)
        for base, values, others in [held_against(group, name)]
        for cell, curve in loss_curves(group, name)
        for away in [any(cell is one for one, _ in others)]
    )  # fmt: skip


def _each(groups: Sequence[Group]) -> Iterator[tuple[Group, Cell]]:
    return ((group, cell) for group in groups for cell in group.cells)


def _parity(cell: Cell) -> dict[str, str]:
    row = cell.verdict_row
    off = [one["max_rel_loss_diff"] for one in cell.ok if one["max_rel_loss_diff"] is not None]
    return {
        "verdict": cell.verdict if cell.ok else cell.status,
        "difference from float64": share(max(off)) if off else NONE,
        "drift": _drift(cell),
        "reference": row["reference"] or NONE,
        "proof": (row["proof"] or NONE)[:HASH_DIGITS],
        "reason": (row["verdict_reason"] if cell.ok else row["reason"]) or NONE,
    }


def _drift(cell: Cell) -> str:
    """How far the losses drift from float64 over the steps that were retraced."""
    found = [row for row in cell.ok if row["drift_max"] is not None]
    return f"{share(found[0]['drift_max'])} in {found[0]['drift_steps'] or '?'} steps" if found else NONE


def in_words(group: Group, cell: Cell, name: str) -> str:
    found = estimate(cell, name)
    return shown(found, group.unit(name)) if found else NONE if cell.ok else cell.status


def of_cells(found: Iterable[tuple[Group, Cell, dict[str, str]]]) -> Table:
    """A table of values by column, between what was trained in which cell and the setting."""
    rows = list(found)
    columns = list(rows[0][2]) if rows else []
    lines = [
        Line(
            values=[group.title, cell.label, *values.values(), group.setting],
            struck=cell.verdict == "diverged",
            cell=cell.id,
        )
        for group, cell, values in rows
    ]
    numeric = frozenset(place for place, name in enumerate(columns, 2) if name in NUMERIC)
    return Table(head=["what", "cell", *columns, "setting"], lines=lines, numeric=numeric)
