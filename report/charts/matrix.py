"""The whole matrix at a glance: every cell with its status."""

from collections.abc import Mapping, Sequence

from report.cells import Cell, Group, plural
from report.layout import Figure, axis, escaped, plain_layout, whose
from report.panels import Line, Panel, Section, Table

# colour and letter of each state; those that are results are told apart by the letter too
STATES: Mapping[str, tuple[str, str]] = {
    "proven": ("#13795b", "✓"), "consistent": ("#46698f", "c"), "unchecked": ("#6d757d", "u"),
    "diverged": ("#b23a24", "D"), "unsupported": ("#6d757d", "–"), "unavailable": ("#6d757d", "·"),
    "oom": ("#8a6508", "M"), "timeout": ("#8a6508", "T"), "crashed": ("#7d2fa0", "C"), "killed": ("#7d2fa0", "K"),
    "nan": ("#7d2fa0", "N"), "invalid": ("#7d2fa0", "I"),
}  # fmt: skip
OTHER = ("#7d2fa0", "?")
ROW_PX = 34


def state(cell: Cell) -> str:
    """Its verdict if every repeat is ok, else how the first that is not ended."""
    bad = [row["status"] or "?" for row in cell.rows if row["status"] != "ok"]
    return bad[0] if bad else cell.verdict


def section(groups: Sequence[Group], palette: Mapping[str, str]) -> Section:
    """One panel a workload and size: a row for each framework and variant, a column for each setting."""
    tasks: dict[str, list[tuple[Group, Cell]]] = {}
    for group in groups:
        for cell in group.cells:
            tasks.setdefault(group.title, []).append((group, cell))
    lines = [
        Line(values=[group.title, cell.label, column(group), state(cell), cell.repeats], cell=cell.id)
        for group in groups
        for cell in group.cells
    ]
    seen = {state(cell) for members in tasks.values() for _, cell in members}
    key = "; ".join(f"{letter} {name}" for name, (_, letter) in STATES.items() if name in seen)
    return Section(
        id="matrix",
        title="Every cell at a glance",
        intro=f"What became of each cell: {key}. A cell that failed in one repeat shows how.",
        panels=[panel(title, members) for title, members in tasks.items()],
        table=Table(head=["what", "cell", "setting", "state", "repeats"], lines=lines),
        wide=True,
    )


def column(group: Group) -> str:
    row = group.first
    several = f" ×{row['devices']}" if (row["devices"] or 1) > 1 else ""
    engine = " engine" if row["engine"] == "distributed" and not several else ""
    return f"{group.precision}{several}{engine}{' strong' if row['scaling'] == 'strong' else ''}"


def panel(title: str, members: Sequence[tuple[Group, Cell]]) -> Panel:
    said = "; ".join(f"{cell.label} {column(group)} {state(cell)}" for group, cell in members)
    counts = plural(len(members), "cell")
    return Panel(
        title=title, setting=counts, caption="", alt=f"Matrix of the states of {title}: {said}.", figure=figure(members)
    )


def figure(members: Sequence[tuple[Group, Cell]]) -> Figure:
    """A square a cell, in the colour of its state, with its letter."""
    rows = list(dict.fromkeys(cell.label for _, cell in members))
    columns = list(dict.fromkeys(column(group) for group, _ in members))
    trace = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [columns.index(column(group)) for group, _ in members],
        "y": [rows.index(cell.label) for _, cell in members],
        "text": [STATES.get(state(cell), OTHER)[1] for _, cell in members],
        "textfont": {"color": "#ffffff", "size": 13},
        "marker": {
            "symbol": "square",
            "size": 24,
            "color": [STATES.get(state(cell), OTHER)[0] for _, cell in members],
        },
        "meta": whose([cell for _, cell in members]),
        "hoverinfo": "text",
        "hovertext": ["<br>".join(map(escaped, told(group, cell))) for group, cell in members],
    }
    layout = plain_layout(ROW_PX * len(rows) + 60) | {
        "xaxis": axis("")
        | {
            "tickvals": list(range(len(columns))),
            "ticktext": [escaped(one) for one in columns],
            "range": [-0.6, len(columns) - 0.4],
            "side": "top",
            "showgrid": False,
            "zeroline": False,
        },
        "yaxis": axis("")
        | {
            "tickvals": list(range(len(rows))),
            "ticktext": [escaped(one) for one in rows],
            "range": [len(rows) - 0.4, -0.6],
            "showgrid": False,
            "zeroline": False,
        },
        "showlegend": False,
        "margin": {"l": 8, "r": 8, "t": 30, "b": 8},
    }
    return {"data": [trace], "layout": layout}


def told(group: Group, cell: Cell) -> list[str]:
    bad = next((row for row in cell.rows if row["status"] != "ok"), None)
    why = bad["reason"] if bad else cell.verdict_row["verdict_reason"]
    return [cell.label, column(group), state(cell), cell.repeats, *([str(why)[:120]] if why else []), f"cell {cell.id}"]
