"""Records of older schemas, as this version reads them: one function for each step, applied in memory.

An old record does not learn what it could not know. A field that came later is null, and so is one that meant something
else, each with its reason in `absent`; no number is put in its place. The folder is never written to.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bench.record import FIELDS, SCHEMA, Record

LATER_IN_2 = ("memory_bytes.host_steady", "threads.total", "windows.cpu_s")  # came while the schema was 2 already
HOST = ("memory_bytes.host_peak", "memory_bytes.host_baseline", "ranks.host_peak", "ranks.host_baseline")
NO_CONTROL = "taken without a control when this was written, so that it holds what reading an idle device takes"
PAGES = "counted with the pages of files when this was written, which says something else than it does now"


def upgraded(record: Record) -> Record:
    """A record of any schema from 1 on as one of this version's; itself if it is one."""
    if record["schema"] == SCHEMA:
        return record
    while record["schema"] < SCHEMA:
        record = STEPS[record["schema"]](record)
    return {name: record.get(name) for name in FIELDS} | record


def from_1(record: Record) -> Record:
    """Drift is new. Host memory counted pages of files."""
    return _step(record, {"drift": _new(1)} | _host(record) | dict.fromkeys(LATER_IN_2, _new(1)))


def from_2(record: Record) -> Record:
    """Communication is new. The first of schema 2 lacked what came in its course, and counted host memory as 1 did."""
    lacking = [name for name in LATER_IN_2 if not _has(record, name)]
    host = _host(record) if LATER_IN_2[0] in lacking else {}
    return _step(record, {"communication": "one device exchanges nothing"} | host | dict.fromkeys(lacking, _new(2)))


def from_3(record: Record) -> Record:
    """The losses of the reference are new."""
    return _step(record, {"parity.reference_losses": _new(3)})


def from_4(record: Record) -> Record:
    """The interpreter, the price and when each window began are new."""
    return _step(record, dict.fromkeys(("interpreter", "price_per_hour", "windows.begin_s"), _new(4)))


def from_5(record: Record) -> Record:
    """Visits are new, and the control of each wait. The wait check held all that the second wait took."""
    parts = ("rewait_s", "control_s", "idle_s", "idle_cpu_s")
    later = dict.fromkeys(("visits", *(f"windows.{part}" for part in parts)), _new(5))
    return _step(record, later | ({"sync_check": NO_CONTROL} if record.get("sync_check") else {}))


STEPS: Mapping[int, Callable[[Record], Record]] = {1: from_1, 2: from_2, 3: from_3, 4: from_4, 5: from_5}


def _new(schema: int) -> str:
    return f"records of schema {schema} did not hold it"


def _host(record: Record) -> dict[str, str]:
    return {name: PAGES for name in HOST if _has(record, name)}


def _step(record: Record, reasons: Mapping[str, str]) -> Record:
    """The record one schema on, in which the fields that have a reason here are null.

    A name such as `windows.cpu_s` is a part of an object, or of each object in a list. Where the whole field is null
    that has its own reason already.
    """
    absent: Any = record.get("absent")
    found: Record = {**record, "schema": record["schema"] + 1, "absent": {}}
    found["absent"] |= absent if isinstance(absent, dict) else {}
    for name, reason in reasons.items():
        field, _, part = name.partition(".")
        value: Any = found.get(field)
        if part and not isinstance(value, dict | list):
            continue
        found[field] = _nulled(value, part) if part else None
        found["absent"][name] = reason
    return found


def _nulled(value: Any, part: str) -> Any:
    if isinstance(value, list):
        return [_nulled(one, part) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value | {part: None} if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType]


def _has(record: Record, name: str) -> bool:
    """Whether a part of an object, or of the first object in a list, is there, even if null; so too if the whole is."""
    field, _, part = name.partition(".")
    value = record.get(field)
    first = value[0] if isinstance(value, list) and value else value  # pyright: ignore[reportUnknownVariableType]
    return part in first if isinstance(first, dict) else True
