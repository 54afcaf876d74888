"""The record: all that came back from running one cell once, as one line of JSON.

A record is a plain dict with the fields of `FIELDS`, always all of them, in SI base units. What could not
be had is null and has its reason in `absent`, under the dotted name of the field; it is never 0 and never invented.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from bench.reading import parsed

Record = dict[str, Any]

# 1: the first, one device, float64 and float32 on cpu
# 2: drift; effective_precision; status unsupported also for what a framework refuses at a precision. Host memory is
#    anonymous and shared memory, in 1 it held the pages of files too; memory_bytes.host_steady, threads.total, more of
#    the machine and the processor time of each window are new
# 3: communication; several devices
# 4: parity.reference_losses
# 5: interpreter, price_per_hour, windows.begin_s; energy_j is measured
# 6: visits; windows.rewait_s, control_s, idle_s and idle_cpu_s. Where cells take turns the first round alone has
#    latency_s and effective_precision. sync_check counts what the second wait took beyond the same reading on an idle
#    device
SCHEMA = 6

STATUSES = ("ok", "unsupported", "unavailable", "oom", "timeout", "crashed", "killed", "nan", "invalid")
HARMLESS = ("ok", "unsupported", "unavailable")  # statuses that leave the exit code at 0
VERDICTS = ("proven", "consistent", "diverged", "unchecked")

FIELDS = (
    "schema", "cell", "cell_id", "spec_hash", "source_hash", "repeat", "run", "started_at",
    "status", "reason", "log_tail", "parity",
    "start", "interpreter", "phases_s", "compile_cache", "visits", "windows", "latency_s",
    "items_per_step", "item", "flops_per_step", "losses", "steps_skipped", "drift",
    "memory_bytes", "energy_j", "price_per_hour", "effective_precision", "sync_check",
    "threads", "ranks", "communication", "optimisations", "absent", "machine", "versions", "flags", "data",
)  # fmt: skip
PARTS: Mapping[str, tuple[str, ...]] = {
    "interpreter": ("name", "python"),
    "phases_s": ("import", "init", "compile"),
    "memory_bytes": (
        "device_peak",
        "device_steady",
        "device_source",
        "driver_peak",
        "host_peak",
        "host_steady",
        "host_baseline",
    ),
    "parity": ("verdict", "reason", "max_rel_loss_diff", "reference", "reference_losses", "proof"),
    "drift": ("steps", "rel_loss_diff", "max_rel_loss_diff", "last_rel_loss_diff", "reference"),
    "energy_j": ("total", "idle_w", "source"),
    "effective_precision": ("matmul", "conv"),
    "sync_check": ("median_share", "max_share"),
    "communication": ("gradient_bytes", "all_reduce", "without_exchange"),
    "threads": ("intra", "inter", "affinity", "total"),
}
NULL_WITHOUT_REASON = ("reason", "log_tail")  # null says that there is nothing to say
IDENTITY = {"schema": int, "cell": dict, "cell_id": str, "status": str}  # without these it is no record


def complete(known: Mapping[str, Any], reasons: Mapping[str, str]) -> Record:
    """A whole record from the known fields, with a reason for each null.

    Args:
        known: fields by name; a field with parts is a dict, of which parts may be missing.
        reasons: why a field (`energy_j`) or a part of it (`memory_bytes.device_peak`) is null; a reason for
            `status` other than ok stands for every field that is left without one.

    Raises:
        ValueError: a field that is no field, or a null without a reason.
    """
    if unknown := set(known) - set(FIELDS):
        raise ValueError(f"no such field in a record: {', '.join(sorted(unknown))}")
    record: Record = {"schema": SCHEMA, **{name: known.get(name) for name in FIELDS if name != "schema"}}
    for name, parts in PARTS.items():
        if record[name] is not None:
            record[name] = {part: record[name].get(part) for part in parts}
    record["absent"] = {field: _reason(field, record, reasons) for field in _nulls(record)}
    return record


def _nulls(record: Record) -> list[str]:
    nulls = [name for name in FIELDS if record[name] is None and name not in (*NULL_WITHOUT_REASON, "absent")]
    for name in PARTS:
        if record[name] is not None:
            nulls += [f"{name}.{part}" for part, value in record[name].items() if value is None]
    windows: list[dict[str, Any]] = record["windows"] or []
    for window in windows[:1]:
        nulls += [f"windows.{part}" for part, value in window.items() if value is None]
    return [name for name in nulls if name != "parity.reason"]


def _reason(field: str, record: Record, reasons: Mapping[str, str]) -> str:
    found = reasons.get(field) or reasons.get(field.split(".")[0])
    if found is None and record["status"] != "ok":
        found = f"the cell is {record['status']}"
    if found is None:
        raise ValueError(f"the record's field {field} is null without a reason")
    return found


def is_whole(record: Record) -> bool:
    """Whether nothing is left to measure of a process: one that takes turns has had all its visits, or has failed."""
    return record["status"] != "ok" or record["visits"] is None or len(record["windows"]) >= record["visits"]


def encode(record: Record) -> str:
    """One line of JSON without its newline; non-finite numbers become the strings nan, inf and -inf."""
    return json.dumps(_finite(record), separators=(",", ":"), allow_nan=False)


def decode(line: str) -> Record:
    """The record of one line.

    Raises:
        ValueError: the line is no JSON object, lacks a field that identifies it, or is nested too deep.
    """
    record = parsed(line)
    if not isinstance(record, dict) or any(type(record.get(name)) is not kind for name, kind in IDENTITY.items()):  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        raise ValueError("not a record")
    return record  # pyright: ignore[reportUnknownVariableType]


def _finite(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
        case dict():
            return {key: _finite(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple():
            return [_finite(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
