"""What stands around the numbers: cells that failed, the machine, the software, what could not be measured."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.record import HARMLESS
from bench.units import scaled
from report.cells import FRAMEWORKS, Cell, Group, listed
from report.frame import Row
from report.panels import NONE, Line, Table
from report.values import text

CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]"
)  # colours of terminals, and what cannot be seen
KINDS = {"interpreter_map": "interpreter", "versions_map": "versions", "flags_map": "environment"}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Repeats of one cell that ended the same way, other than ok."""

    label: str
    where: str
    status: str
    reason: str
    repeats: Sequence[int] = field(default_factory=list[int])
    log_tail: str | None = None

    @property
    def harmless(self) -> bool:
        """Whether it only could not run here."""
        return self.status in HARMLESS

    @property
    def when(self) -> str:
        """Its rounds, counted from one as the progress display does."""
        return f"round {listed([str(repeat + 1) for repeat in self.repeats])}"


def failures(groups: Sequence[Group]) -> list[Failure]:
    """Every cell that is not ok, or that diverged: once for each way in which its repeats ended."""
    return [
        Failure(
            label=cell.label,
            where=f"{group.title}, {group.setting}",
            status=status,
            reason=reason,
            repeats=[row["repeat"] or 0 for row in same],
            log_tail=readable(next((row["log_tail"] for row in same if row["log_tail"]), None)),
        )
        for group in groups
        for cell in group.cells
        for (status, reason), same in _endings(cell).items()
        if status != "ok"
    ]


def _endings(cell: Cell) -> dict[tuple[str, str], list[Row]]:
    """A cell's rows by status and reason; `diverged` counts as a status."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in cell.rows:
        diverged = row["status"] == "ok" and row["verdict"] == "diverged"
        status = "diverged" if diverged else row["status"] or "?"
        reason = row["verdict_reason"] if diverged else row["reason"]
        found.setdefault((status, reason or "no reason was recorded"), []).append(row)
    return found


def absent(rows: Iterable[Row]) -> Table:
    """Which fields are null in records that are ok, in which frameworks, and why."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        for name, reason in row["absent_map"].items() if row["status"] == "ok" else ():
            found.setdefault((str(name), text(reason) or NONE), set()).add(framework(row))
    lines = [Line(values=[name, ", ".join(sorted(impls)), reason]) for (name, reason), impls in sorted(found.items())]
    return Table(head=["field", "where", "why"], lines=lines)


def machine(meta: Mapping[str, Any]) -> Table:
    """The machine as `run.json` has it."""
    found = meta.get("machine")
    plain: dict[Any, Any] = found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    lines = [Line(values=[_spaced(name), _machine_value(str(name), value)]) for name, value in plain.items()]
    return Table(head=["machine", ""], lines=lines)


def _machine_value(name: str, value: Any) -> str:
    if name.endswith("_bytes") and isinstance(value, int | float):
        return scaled(value, "B")
    if isinstance(value, list):
        return ", ".join(text(item) or NONE for item in value)  # pyright: ignore[reportUnknownVariableType]
    return text(value) or NONE


def _spaced(name: Any) -> str:
    return str(name).removesuffix("_bytes").replace("_", " ")


def software(rows: Sequence[Row]) -> Table:
    """Versions and flags, by framework; several values where the run's records differ."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        for column, kind in KINDS.items():
            for name, value in row[column].items():
                seen = found.setdefault((framework(row), kind), {}).setdefault(str(name), [])
                if (said := text(value) or NONE) not in seen:
                    seen.append(said)
    lines = [
        Line(values=[*key, ", ".join(f"{name} {' or '.join(seen)}" for name, seen in values.items())])
        for key, values in sorted(found.items(), key=lambda one: (one[0][0], list(KINDS.values()).index(one[0][1])))
    ]
    return Table(head=["framework", "", "as recorded"], lines=lines)


def fairness(rows: Iterable[Row]) -> Table:
    """What was on in each framework and variant, by workload where that differs: who was helped by what."""
    found: dict[str, dict[str, dict[str, set[str]]]] = {}  # by name, column and value: the workloads
    columns: dict[str, None] = {}
    for row in rows:
        column = f"{framework(row)} {row['variant'] or ''}".strip()
        columns |= {column: None} if row["status"] == "ok" else {}
        for name, value in row["optimisations_map"].items() if row["status"] == "ok" else ():
            values = found.setdefault(str(name), {}).setdefault(column, {})
            values.setdefault(_yes(value), set()).add(f"{row['workload'] or '?'} {row['precision'] or '?'}")
    order = sorted(columns)
    lines = [
        Line(values=[_spaced(name), *(_by_where(found[name].get(one)) for one in order)]) for name in sorted(found)
    ]
    return Table(head=["what was on", *order], lines=lines if columns else [])


def _yes(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else text(value) or NONE


def _by_where(values: Mapping[str, set[str]] | None) -> str:
    """One value, or each with the workloads and precisions that have it."""
    if not values:
        return NONE
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} ({', '.join(sorted(where))})" for value, where in values.items())


def framework(row: Row) -> str:
    return FRAMEWORKS.get(row["impl"], row["impl"] or "?")


def readable(log: str | None) -> str | None:
    """A log without the colours and control characters of a terminal."""
    return CONTROL.sub("", log.replace("\r\n", "\n").replace("\r", "\n")) if log else None
