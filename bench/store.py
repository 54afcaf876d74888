"""A run on disk: one folder with `run.json`, `records.jsonl` and `logs/`. Readers never write."""

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import record
from bench.record import Record
from bench.spec import WrongInput

RUN_FILE, RECORDS_FILE, LOGS = "run.json", "records.jsonl", "logs"


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


def load(folder: Path) -> Run:
    """Read a run; a line that is no whole record is skipped with a warning.

    Raises:
        WrongInput: no run there, one that cannot be read, or one written by a newer version.
    """
    if not (folder / RUN_FILE).is_file():
        raise WrongInput(f"{folder} is no run: it has no {RUN_FILE}; give a folder that `bench run` has written")
    try:
        meta = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        path = folder / RECORDS_FILE
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    except (OSError, ValueError) as error:
        raise WrongInput(f"cannot read the run {folder}: {error}") from error
    if not isinstance(meta, dict):
        raise WrongInput(f"cannot read the run {folder}: {RUN_FILE} holds no JSON object")
    records = [found for number, line in enumerate(lines, 1) if (found := _decode(line, path, number))]
    for schema in [meta.get("schema"), *(found["schema"] for found in records)]:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if not isinstance(schema, int) or schema > record.SCHEMA:
            raise WrongInput(f"{folder} has schema {schema}, this version reads up to {record.SCHEMA}: update samestep")
    return Run(name=folder.resolve().name, folder=folder, meta=meta, records=records)  # pyright: ignore[reportUnknownArgumentType]


def _decode(line: str, path: Path, number: int) -> Record | None:
    try:
        return record.decode(line)
    except ValueError:
        warnings.warn(f"{path} line {number} is no whole record and was skipped", stacklevel=3)
        return None
