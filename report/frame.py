"""Records as a pandas DataFrame: one row a record. Tables, figures and exports are made from it and nothing else.

Records may be old, odd or written by strangers: what is missing or of a wrong kind is missing in the frame.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bench import attainable, store
from bench.metrics import METRICS, NOISE, Metric
from bench.record import FIELDS, Record
from bench.store import LIMITS, Limits, Run

Kind = Literal["text", "whole", "number", "time", "object"]
Row = dict[str, Any]  # one record as the frame holds it, by column; None where missing

DTYPES: Mapping[Kind, str] = {"text": "string", "whole": "Int64", "number": "float64", "object": "object"}
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # how records write them
NUMERIC = (
    "phases_s",
    "windows",
    "latency_s",
    "items_per_step",
    "flops_per_step",
    "losses",
    "memory_bytes",
    "energy_j",
    "price_per_hour",
    "drift",
    "communication",
)
CELL_WHOLE = ("devices", "nodes", "batch_per_device", "global_batch", "norm_groups", "seed")
CELL = (
    "workload", "size", "impl", "variant", "precision", "platform", "devices", "nodes", "scaling",
    "batch_per_device", "global_batch", "norm_groups", "optimizer", "kernels", "engine", "input", "seed", "arm",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its name, what it holds, and where a record has it."""

    name: str
    kind: Kind
    value: Callable[[Record], Any]


def load(*paths: Path | str, limits: Limits = LIMITS) -> pd.DataFrame:
    """The frame of some runs' folders, one row a record: what reports, comparisons and exports are made from.

    `report.load("results/monday", "results/friday").groupby(["run", "impl"])["step_s"].median()`

    Raises:
        WrongInput: no run there, or one that cannot be read or is larger than the limits.
    """
    return frame([store.load(Path(path), limits) for path in paths])


def frame(runs: Iterable[Run]) -> pd.DataFrame:
    """One row a record, in the order they were made; the columns are `COLUMNS`, whatever the records hold."""
    records = [record for run in runs for record in _of(run)]
    return pd.DataFrame({column.name: _series(column, records) for column in COLUMNS})


def priced(run: Run, price_per_hour: float | None) -> Run:
    """The run as if an hour of a device had cost this much; itself without a price."""
    if price_per_hour is None:
        return run
    return replace(run, records=[_priced(record, price_per_hour) for record in run.records])


def _priced(record: Record, price_per_hour: float) -> Record:
    absent: Mapping[str, Any] = record["absent"] if isinstance(record.get("absent"), dict) else {}
    known = {name: reason for name, reason in absent.items() if name != "price_per_hour"}
    return record | {"price_per_hour": price_per_hour, "absent": known}


def _of(run: Run) -> list[Record]:
    """A run's records, each with the ceiling that the run measured of its device, or None, beside the fields."""
    ceilings = attainable.best(run.meta)
    whole = [_normal(record) | {"run": run.name} for record in run.records]
    return [record | {"ceiling": attainable.ceiling_of(record, ceilings)} for record in whole]


def rows(data: pd.DataFrame) -> list[Row]:
    """The frame as plain Python values, None where a value is missing."""
    names = [str(name) for name in data.columns]
    columns = [column.astype(object).where(column.notna(), None).tolist() for _, column in data.items()]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def at(record: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is nothing."""
    return inside(record, path.split("."))


def inside(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The same, of names already split."""
    value: Any = record
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return value  # pyright: ignore[reportUnknownVariableType]


def text(value: Any) -> str | None:
    """Text that can be written as UTF-8; what is neither text nor missing is shown as JSON."""
    if value is None:
        return None
    found = value if isinstance(value, str) else json.dumps(value, default=str)
    return found.encode("utf-8", "replace").decode()


def number(value: Any) -> float | None:
    """A float, with the records' strings for non-finite ones; None for anything else."""
    if type(value) is float:  # most are
        return value
    if isinstance(value, str):
        return NON_FINITE.get(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def measurable(value: float) -> bool:
    """Whether a value can have been measured; beyond it lies what arithmetic on squares of it cannot hold."""
    return 1e-100 < value < 1e100


def finite(value: Any) -> float | None:
    """A float that an axis can hold; None for anything else."""
    found = number(value)
    return found if found is not None and abs(found) < 1e100 else None


def whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None or not found.is_integer() or abs(found) >= 2**63 else int(value)


def _series(column: Column, records: list[Record]) -> "pd.Series[Any]":
    convert: Mapping[Kind, Callable[[Any], Any]] = {"text": text, "whole": whole, "number": number, "time": text}
    found: list[Any] = [column.value(record) for record in records]
    if column.kind in convert:
        found = [convert[column.kind](value) for value in found]
    if column.kind == "time":
        times = pd.to_datetime(pd.Series(found, dtype="string"), utc=True, errors="coerce", format="ISO8601")
        return times.astype("datetime64[us, UTC]")
    return pd.Series(found, dtype=DTYPES[column.kind])


def _normal(record: Record) -> Record:
    """Every field present, and non-finite strings turned into numbers where numbers stand."""
    found = {name: record.get(name) for name in FIELDS}
    return found | {name: _numbers(found[name]) for name in NUMERIC}


def _numbers(value: Any) -> Any:
    match value:
        case float() | int():
            return value
        case str():
            return NON_FINITE.get(value, value)
        case dict():
            return {key: _numbers(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return value if _floats(value) else [_numbers(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return value


def _floats(values: list[Any]) -> bool:
    """Whether a list holds floats alone, as samples nearly always do: told far faster than each is looked at."""
    return set(map(type, values)) == {float}


def _metric(metric: Metric) -> Column:
    def value(record: Record) -> float | None:
        try:
            return metric.value(record)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
            return None  # a record without the fields that the metric reads, or with odd ones

    return Column(name=metric.name, kind="number", value=value)


def _sum(name: str) -> Callable[[Record], float | None]:
    """Sum of one value over the windows; None unless every window has it."""

    def total(record: Record) -> float | None:
        found = [number(inside(window, (name,))) for window in items(record["windows"])]
        return math.fsum(value for value in found if value is not None) if found and None not in found else None

    return total


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _losses(record: Record) -> dict[str, list[float]]:
    """Each loss by name, one number a step; not a number where the record has none."""
    found = record["losses"] if isinstance(record["losses"], dict) else {}  # pyright: ignore[reportUnknownVariableType]
    return {
        str(name): values if _floats(items(values)) else [_or_nan(value) for value in items(values)]  # pyright: ignore[reportUnknownArgumentType]
        for name, values in found.items()  # pyright: ignore[reportUnknownVariableType]
    }


def _or_nan(value: Any) -> float:
    return math.nan if (found := number(value)) is None else found


def _reference_losses(record: Record) -> dict[str, list[float]]:
    """Float64's losses of the first steps; empty where the record has none."""
    return _losses({"losses": _numbers(at(record, "parity.reference_losses"))})


def _latency(record: Record) -> list[float]:
    """Seconds of single steps, those that are finite."""
    found = items(record["latency_s"])
    found = found if _floats(found) else [_or_nan(value) for value in found]
    return [value for value in found if measurable(value)]


def _spans(record: Record) -> list[tuple[float, float]]:
    """From when to when each window ran, in seconds from the start of the cell's processes; those that say so."""
    told = ([finite(inside(window, (name,))) for name in ("begin_s", "seconds")] for window in items(record["windows"]))
    return [(begin, begin + seconds) for begin, seconds in told if begin is not None and seconds is not None]


def _ceiling(name: str) -> Callable[[Record], float | None]:
    """A rate of the device's ceiling."""
    return lambda record: getattr(record["ceiling"], name, None)


def _mapping(name: str) -> Callable[[Record], dict[str, Any]]:
    return lambda record: record[name] if isinstance(record[name], dict) else {}


def _versions(record: Record) -> str | None:
    return ", ".join(f"{name} {text(version)}" for name, version in _mapping("versions")(record).items()) or None


def _column(name: str, kind: Kind, path: str | Callable[[Record], Any] | None = None) -> Column:
    """A column that holds what lies at a dotted path (its own name if none is given) or what a function finds."""
    if callable(path):
        return Column(name=name, kind=kind, value=path)
    names = (path or name).split(".")
    return Column(name=name, kind=kind, value=lambda record: inside(record, names))


FLAT = (
    *(_column(name, "text") for name in ("run", "cell_id", "spec_hash", "source_hash")),
    _column("repeat", "whole"),
    _column("started_at", "time"),
    _column("schema", "whole"),
    *(_column(name, "whole" if name in CELL_WHOLE else "text", f"cell.{name}") for name in CELL),
    _column("status", "text"),
    _column("reason", "text"),
    _column("verdict", "text", "parity.verdict"),
    _column("verdict_reason", "text", "parity.reason"),
    _column("max_rel_loss_diff", "number", "parity.max_rel_loss_diff"),
    _column("reference", "text", "parity.reference"),
    _column("drift_steps", "whole", "drift.steps"),
    _column("drift_max", "number", "drift.max_rel_loss_diff"),
    _column("drift_last", "number", "drift.last_rel_loss_diff"),
    _column("proof", "text", "parity.proof"),
    _column("start", "text"),
    _column("interpreter", "text", "interpreter.name"),
    _column("interpreter_python", "text", "interpreter.python"),
    _column("compile_cache", "text"),
    *(_metric(metric) for metric in METRICS),
    _column("device", "text", attainable.device_of),
    _column("attainable_flops_per_s", "number", _ceiling("flops_per_s")),
    _column("attainable_bytes_per_s", "number", _ceiling("copy_bytes_per_s")),
    _column("item", "text"),
    _column("items_per_step", "number"),
    _column("flops_per_step", "number"),
    _column("steps_skipped", "whole"),
    _column("window_count", "whole", lambda record: len(items(record["windows"])) or None),
    _column("window_steps", "number", _sum("steps")),
    _column("window_s", "number", _sum("seconds")),
    _column("foreign_cpu_s", "number", _sum("foreign_cpu_s")),
    _column("steal_s", "number", _sum("steal_s")),
    *(_metric(metric) for metric in NOISE),
    _column("latency_count", "whole", lambda record: len(items(record["latency_s"])) or None),
    *(
        _column(f"{name}_bytes", "number", f"memory_bytes.{name}")
        for name in ("host_peak", "host_baseline", "driver_peak")
    ),
    _column("energy_j", "number", "energy_j.total"),
    _column("idle_w", "number", "energy_j.idle_w"),
    _column("energy_source", "text", "energy_j.source"),
    _column("price_per_hour", "number"),
    _column("effective_matmul", "text", "effective_precision.matmul"),
    _column("effective_conv", "text", "effective_precision.conv"),
    _column("sync_median_share", "number", "sync_check.median_share"),
    _column("sync_max_share", "number", "sync_check.max_share"),
    _column("threads_intra", "whole", "threads.intra"),
    _column("threads_inter", "whole", "threads.inter"),
    *(_column(f"machine_{name}", "text", f"machine.{name}") for name in ("cpu", "system", "release", "python")),
    _column("versions", "text", _versions),
    _column("data_name", "text", "data.name"),
    _column("data_sha256", "text", "data.sha256"),
)  # what exports hold, in this order
NESTED = (
    _column("log_tail", "text"),
    _column("losses", "object", _losses),
    _column("reference_losses", "object", _reference_losses),
    _column("latency", "object", _latency),
    _column("windows", "object", _spans),
    _column("ceiling", "object"),
    *(
        _column(f"{name}_map", "object", _mapping(name))
        for name in ("interpreter", "versions", "flags", "absent", "machine", "optimisations", "communication")
    ),
)  # what the page needs besides
COLUMNS = (*FLAT, *NESTED)
