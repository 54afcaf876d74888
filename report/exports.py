"""A run as flat text, one row a record: what `bench export` gives. `results/README.md` lists the columns."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.store import Run
from report.frame import FLAT, frame

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # spreadsheets run text that starts with one of these


def flat(runs: Sequence[Run]) -> pd.DataFrame:
    """The columns that exports hold; times as ISO 8601."""
    found = frame(runs)[[column.name for column in FLAT]]
    times = [None if pd.isna(one) else one.isoformat() for one in found["started_at"]]
    return found.assign(started_at=pd.Series(times, dtype="string"))


def to_csv(found: pd.DataFrame) -> str:
    """Comma-separated values; text that a spreadsheet would run as a formula gets an apostrophe before it."""
    safe = {column.name: [_unarmed(one) for one in found[column.name]] for column in FLAT if column.kind == "text"}
    return found.assign(**safe).to_csv(index=False, lineterminator="\n")


def _unarmed(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def to_json(found: pd.DataFrame) -> str:
    """A list of objects, null where a value is missing."""
    plain = found.astype(object).where(found.notna(), None)
    return json.dumps([_encoded(row) for row in plain.to_dict("records")], indent=1) + "\n"


def _encoded(row: Mapping[Any, Any]) -> dict[str, Any]:
    infinite = {float("inf"): "inf", float("-inf"): "-inf"}  # as records write them
    return {str(name): infinite.get(value, value) if isinstance(value, float) else value for name, value in row.items()}


FORMATS: Mapping[str, Callable[[pd.DataFrame], str]] = {"csv": to_csv, "json": to_json}
