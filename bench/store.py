"""A run on disk: one folder with `run.json`, `records.jsonl` and `logs/`. Readers never write."""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import reading, record
from bench.reading import LIMITS, Limits
from bench.record import Record
from bench.spec import WrongInput
from bench.upgrade import upgraded

RUN_FILE, RECORDS_FILE, LOGS = "run.json", "records.jsonl", "logs"
MAX_WARNINGS = 10  # lines of a file that are told one by one


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as read back: its folder's name, what `run.json` says, its records in the order they were made."""

    name: str
    folder: Path
    meta: Mapping[str, Any]
    records: list[Record] = field(default_factory=list[Record])


def create(folder: Path, meta: Mapping[str, Any]) -> Path:
    """Make the folder of a new run and write its `run.json`; returns the folder.

    Raises:
        WrongInput: the folder exists and is not empty, or cannot be made. Nothing was changed then.
    """
    check_new(folder)
    try:
        (folder / LOGS).mkdir(parents=True)
        _write_flushed(folder / RUN_FILE, "w", json.dumps(meta, indent=1) + "\n")
    except OSError as error:
        raise WrongInput(f"cannot make the run's folder {folder}: {error.strerror}; name another with --out") from error
    return folder


def check_new(folder: Path) -> None:
    """Raises WrongInput unless a new run can go to this folder."""
    if (folder / RUN_FILE).exists():
        raise WrongInput(f"{folder} holds a run already; name a new folder with --out")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WrongInput(f"{folder} exists and is no run; name a new folder with --out")


def append(folder: Path, new: Record) -> None:
    """Append one record as a whole line and flush it to disk."""
    _write_flushed(folder / RECORDS_FILE, "a", record.encode(new) + "\n")


def _write_flushed(path: Path, mode: str, text: str) -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load(folder: Path, limits: Limits = LIMITS) -> Run:
    """Read a run, its records as this version's schema has them; a line that is no whole record is skipped.

    Warns of what was skipped.

    Raises:
        WrongInput: no run there, one that cannot be read or is too large, or one written by a newer version.
    """
    try:
        if not (folder / RUN_FILE).is_file():
            raise WrongInput(f"{folder} is no run: it has no {RUN_FILE}; give a folder that `bench run` has written")
        meta = reading.parsed(reading.whole(folder, RUN_FILE, limits.run_bytes).decode())
        there = os.path.lexists(folder / RECORDS_FILE)
        lines = reading.lines(folder, RECORDS_FILE, limits) if there else ()
        found = [(number, *_decoded(line)) for number, line in lines]
    except (OSError, ValueError) as error:
        raise WrongInput(f"cannot read the run {folder}: {error}") from error
    if not isinstance(meta, dict):
        raise WrongInput(f"cannot read the run {folder}: {RUN_FILE} holds no JSON object")
    _warn(folder / RECORDS_FILE, [(number, why) for number, _, why in found if why])
    records = [one for _, one, _ in found if one is not None]
    for schema in [meta.get("schema"), *(one["schema"] for one in records)]:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if type(schema) is not int or not 1 <= schema <= record.SCHEMA:  # pyright: ignore[reportUnknownArgumentType]
            raise WrongInput(
                f"{folder} has schema {schema!r:.40}, this version reads up to {record.SCHEMA}: update samestep"
            )
    return Run(name=folder.resolve().name, folder=folder, meta=meta, records=[upgraded(one) for one in records])  # pyright: ignore[reportUnknownArgumentType]


def _decoded(line: bytes) -> tuple[Record | None, str]:
    """The record of a line, and what a reader should know of it."""
    text = line.decode("utf-8", "replace")
    try:
        found = record.decode(text)
    except reading.TooDeep:
        return None, f"is nested deeper than {reading.MAX_DEPTH} levels and was skipped"
    except ValueError:
        return None, "is no whole record and was skipped"
    return found, "holds bytes that are no text (UTF-8)" if "\ufffd" in text and text.encode() != line else ""


def _warn(path: Path, said: Sequence[tuple[int, str]]) -> None:
    for number, why in said[:MAX_WARNINGS]:
        warnings.warn(f"{path} line {number} {why}", stacklevel=3)
    if len(said) > MAX_WARNINGS:
        warnings.warn(f"{path}: the same of {len(said) - MAX_WARNINGS} further lines", stacklevel=3)
