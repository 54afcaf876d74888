"""A run on disk: one folder with `run.json`, `records.jsonl` and `logs/`. Readers never write."""

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

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
        write_meta(folder, meta)
    except OSError as error:
        raise WrongInput(f"cannot make the run's folder {folder}: {error.strerror}; name another with --out") from error
    return folder


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write `run.json`, whole or not at all, whenever the machine stops."""
    text, part = json.dumps(meta, indent=1) + "\n", folder / f"{RUN_FILE}.part"
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / RUN_FILE)
    if sys.platform != "win32":  # that the name is on the disk too
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)


def check_new(folder: Path) -> None:
    """Raises WrongInput unless a new run can go to this folder."""
    if (folder / RUN_FILE).exists():
        raise WrongInput(f"{folder} holds a run already; name a new folder with --out")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WrongInput(f"{folder} exists and is no run; name a new folder with --out")


class CannotWrite(Exception):
    """A record could not be kept; all that were kept before it are whole. The text is one line that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Journal:
    """The records of a run that is under way, which its one runner appends to."""

    folder: Path
    file: BinaryIO

    def append(self, new: Record) -> None:
        """Append one record as a whole line and flush it to disk.

        Raises:
            CannotWrite: the disk is full, or cannot be written any more; the file is as it was before.
        """
        line, end = (record.encode(new) + "\n").encode(), self.file.seek(0, os.SEEK_END)
        try:
            self._write(b"\n" + line if self._torn(end) else line)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.file.truncate(end)
            path = self.folder / RECORDS_FILE
            advice = f"what was measured before is kept; mend that, then go on with --resume {self.folder}"
            raise CannotWrite(f"cannot write {path}: {error.strerror}; {advice}") from error

    def _torn(self, end: int) -> bool:
        """Whether the file ends with what a power cut left of a line, which the next record must not continue."""
        self.file.seek(max(0, end - 1))
        return self.file.read(1) not in (b"", b"\n")

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:  # the file has no buffer, and a disk that fills up takes a part
            left = left[self.file.write(left) :]
        os.fsync(self.file.fileno())


@contextmanager
def writing(folder: Path) -> Generator[Journal]:
    """The journal of a run, for as long as this process alone may write to it.

    Raises:
        WrongInput: another runner writes to it, or nobody can.
    """
    path = folder / RECORDS_FILE
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise WrongInput(f"cannot write {path}: {error.strerror}") from error
    with file:
        if not locked(file):
            raise WrongInput(f"another runner is measuring into {folder}: wait until it has ended")
        yield Journal(folder=folder, file=file)


def locked(file: BinaryIO) -> bool:
    """Whether this process now holds the file alone; the system lets go of it however the process ends."""
    try:
        import fcntl
    except ImportError:  # a system without such locks
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        warnings.warn(
            f"nothing keeps a second runner away: {file.name} cannot be locked ({error.strerror})", stacklevel=2
        )
    return True


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
