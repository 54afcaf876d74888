"""Records as a pandas DataFrame: one row a record. Tables, figures and exports are made from it and nothing else.

Records may be old, odd or written by strangers: what is missing or of a wrong kind is missing in the frame.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench import attainable, store
from bench.record import FIELDS, Record
from bench.store import LIMITS, Limits, Run
from report.columns import COLUMNS, Column, Kind
from report.values import number, numbers, text, whole

Row = dict[str, Any]  # one record as the frame holds it, by column; None where missing

DTYPES: Mapping[Kind, str] = {"text": "string", "whole": "Int64", "number": "float64", "object": "object"}
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
    return found | {name: numbers(found[name]) for name in NUMERIC}
