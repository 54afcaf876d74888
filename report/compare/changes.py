"""What differs between two runs besides their numbers: machines, software, what was asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.store import Run
from report.frame import Row
from report.values import at, text

IGNORED = ("load_1min", "absent")  # of a machine: differs always, or tells nothing
ASKED = ("command", "seed", "repeats", "min_time_s", "a_a", "target_ci", "samestep")  # of run.json
HASH_DIGITS = 12


def changes(base: Run, new: Run, old_rows: Sequence[Row], new_rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """What differs, with its value in BASE and in NEW."""
    pairs = [(name, at(base.meta, name), at(new.meta, name)) for name in (*ASKED, "git.commit", "git.dirty")]
    machines = [flat(run.meta.get("machine")) for run in (base, new)]
    pairs += [(f"machine {name}", *(one.get(name) for one in machines)) for name in union(*machines)]
    sources = [source(rows) for rows in (old_rows, new_rows)]
    pairs += [(f"code of {name}", *(side.get(name) for side in sources)) for name in union(*sources)]
    for column, label in (("versions_map", ""), ("flags_map", "environment ")):
        sides = [recorded(rows, column) for rows in (old_rows, new_rows)]
        pairs += [(f"{label}{name}", *(side.get(name) for side in sides)) for name in union(*sides)]
    pairs.append(
        ("data", *(", ".join(sorted({str(row["data_sha256"]) for row in rows})) for rows in (old_rows, new_rows)))
    )
    return [(name, shown(one), shown(other)) for name, one, other in pairs if one != other]


def flat(value: Any, before: str = "") -> dict[str, Any]:
    """A nested object as one, names joined by spaces."""
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {}
    for name, one in value.items():  # pyright: ignore[reportUnknownVariableType]
        key = f"{before}{name}".replace("_", " ")
        if name not in IGNORED:
            found |= flat(one, f"{key} ") if isinstance(one, dict) else {key: one}
    return found


def recorded(rows: Sequence[Row], column: str) -> dict[str, str]:
    """Each name with all values that records hold, in their order."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, value in row[column].items():
            found.setdefault(f"{name}", {})[text(value) or "?"] = None
    return {name: " or ".join(values) for name, values in found.items()}


def source(rows: Sequence[Row]) -> dict[str, str]:
    """Of each framework and workload the hash of the code that was measured."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row["source_hash"]:
            found.setdefault(f"{row['impl']} {row['workload']}", {})[row["source_hash"][:HASH_DIGITS]] = None
    return {name: " or ".join(values) for name, values in found.items()}


def union(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys((*one, *other)))


def shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(text(item) or "?" for item in value)  # pyright: ignore[reportUnknownVariableType]
    return text(value) or "not recorded"
