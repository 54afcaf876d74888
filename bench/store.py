"""A run on disk: one folder with `run.json`, `records.jsonl` and `logs/`. Readers never write."""

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

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
    records: list[Record] = field(default_factory=list[Record])  # of this version's schema
    schemas: frozenset[int] = frozenset()  # that they were written with


def create(folder: Path, meta: Mapping[str, Any]) -> Path:
    """Make the folder of a new run and write its `run.json`; returns the folder.

    Raises:
        WrongInput: the folder exists and is not empty, or cannot be made. Nothing was changed then.
    """
    check_new(folder)
    try:
        (folder / LOGS).mkdir(parents=True, exist_ok=True)
        write_meta(folder, meta)
    except OSError as error:
        raise WrongInput(f"cannot make the run's folder {folder}: {error.strerror}; name another with --out") from error
    return folder


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write `run.json`, whole or not at all, whenever the machine stops."""
    text, part = json.dumps(meta, indent=1) + "\n", folder / f"{RUN_FILE}.part"
    part.unlink(missing_ok=True)  # of a runner that was killed, or a link that someone has put there
    with part.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / RUN_FILE)
    if sys.platform != "win32":  # that the name is on the disk too
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)


def check_new(folder: Path) -> None:
    """Raises WrongInput unless a new run can go to this folder; what a runner left that was killed at once is none."""
    if (folder / RUN_FILE).exists():
        raise WrongInput(f"{folder} holds a run already; name a new folder with --out")
    if folder.exists() and (not folder.is_dir() or any(map(is_foreign, folder.iterdir()))):
        raise WrongInput(f"{folder} exists and is no run; name a new folder with --out")


def is_foreign(path: Path) -> bool:
    """Whether something in a folder is more than the beginning of a run."""
    begun = path.is_dir() and not path.is_symlink() and path.name == LOGS and not any(path.iterdir())
    return not begun and path.name != f"{RUN_FILE}.part"


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
    return Run(
        name=folder.resolve().name,
        folder=folder,
        meta=meta,  # pyright: ignore[reportUnknownArgumentType]
        records=[upgraded(one) for one in records],
        schemas=frozenset(one["schema"] for one in records),
    )


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
