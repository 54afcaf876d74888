"""A run on disk: one folder with `run.json`, `records.jsonl` and `logs/`. Readers never write.

While a run is under way, a process may have several lines in `records.jsonl`: the last one counts, at the place of the
first. Once the run is judged, the file is rewritten with one line a process.
"""

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from bench import reading, record
from bench.reading import LIMITS, Limits
from bench.record import Record
from bench.spec import WrongInput
from bench.upgrade import upgraded

RUN_FILE, RECORDS_FILE, LOGS = "run.json", "records.jsonl", "logs"
MAX_WARNINGS = 10  # lines of a file that are told one by one
T = TypeVar("T")


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
    _flush_names(folder)


def _flush_names(folder: Path) -> None:
    """Have the disk hold the names of a folder too."""
    if sys.platform != "win32":
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


@dataclass(kw_only=True)
class Journal:
    """The records of a run that is under way, which its one runner writes; the file is locked."""

    folder: Path
    file: BinaryIO

    def append(self, new: Record) -> None:
        """Append one record as a whole line and flush it to disk.

        Raises:
            CannotWrite: the disk is full, or cannot be written any more; the file is as it was before.
        """
        line, end = (record.encode(new) + "\n").encode(), self.file.seek(0, os.SEEK_END)
        try:
            _write(self.file, b"\n" + line if self._torn(end) else line)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.file.truncate(end)
            path = self.folder / RECORDS_FILE
            advice = f"what was measured before is kept; mend that, then go on with --resume {self.folder}"
            raise CannotWrite(f"cannot write {path}: {error.strerror}; {advice}") from error

    def settle(self, judged: Iterable[Record]) -> None:
        """Rewrite the file, whole or not at all: one line a process, the judged one where there is one.

        All other lines stay as they are, byte by byte, but for those that are no record, which are left out.

        Raises:
            CannotWrite: there is no room for it, or it cannot be written; the file is as it was before.
        """
        path, part = self.folder / RECORDS_FILE, self.folder / f"{RECORDS_FILE}.part"
        new = {key: record.encode(one).encode() for one in judged if (key := key_of(one))}
        try:
            lines = b"".join(line + b"\n" for line in self._settled(new))
            if lines == path.read_bytes():
                return
            part.unlink(missing_ok=True)  # of a runner that was killed, or a link that someone has put there
            file = part.open("x+b", buffering=0)
        except OSError as error:
            raise self._not_settled(error) from error
        try:
            locked(file)  # before it has its name: no second runner gets in between
            _write(file, lines)
            part.replace(path)
        except BaseException as error:  # an interrupt too
            file.close()
            with contextlib.suppress(OSError):
                part.unlink()
            if isinstance(error, OSError):
                raise self._not_settled(error) from error
            raise
        self.file, old = file, self.file
        old.close()
        with contextlib.suppress(OSError):  # the file is whole under its name
            _flush_names(self.folder)

    def _settled(self, new: Mapping["Key", bytes]) -> list[bytes]:
        """One line a process, in the order in which the processes began."""
        lines: list[tuple[Key | None, bytes]] = []
        for _, line in reading.lines(self.folder, RECORDS_FILE, LIMITS):
            one, _ = _decoded(line)
            if one is not None:
                lines.append((key := key_of(one), new.get(key, line) if key else line))
        return [line for _, line in _last(lines)]

    def _not_settled(self, error: OSError) -> CannotWrite:
        path = self.folder / RECORDS_FILE
        advice = f"all that was measured is kept; mend that, then --resume {self.folder} judges it"
        return CannotWrite(f"cannot rewrite {path}: {error.strerror or error}; {advice}")

    def _torn(self, end: int) -> bool:
        """Whether the file ends with what a power cut left of a line, which the next record must not continue."""
        self.file.seek(max(0, end - 1))
        return self.file.read(1) not in (b"", b"\n")


def _write(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:  # the file has no buffer, and a disk that fills up takes a part
        left = left[file.write(left) :]
    os.fsync(file.fileno())


Key = tuple[str, str, int]  # of a process: its run, the id of its cell, its repeat


def key_of(found: Record) -> Key | None:
    """The process that a record is of; None where a stranger's record does not say it."""
    run, cell, repeat = found.get("run"), found["cell_id"], found.get("repeat")
    return (run, cell, repeat) if isinstance(run, str) and type(repeat) is int else None


def _last(found: Iterable[tuple[Key | None, T]]) -> Iterator[tuple[Key | None, T]]:
    """The last of each process, at the place of its first; all of those that name no process."""
    places: dict[Any, tuple[Key | None, T]] = {}
    for number, (key, one) in enumerate(found):
        places[key or number] = key, one
    yield from places.values()


@contextmanager
def writing(folder: Path) -> Generator[Journal]:
    """The journal of a run, for as long as this process alone may write to it.

    Raises:
        WrongInput: another runner writes to it, or nobody can.
    """
    path = folder / RECORDS_FILE
    while True:
        try:
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise WrongInput(f"cannot write {path}: {error.strerror}") from error
        if not locked(file):
            file.close()
            raise WrongInput(f"another runner is measuring into {folder}: wait until it has ended")
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # a runner that has ended meanwhile put another file in its place
    journal = Journal(folder=folder, file=file)
    try:
        yield journal
    finally:
        journal.file.close()


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
    records = [one for _, one in _last((key_of(one), one) for _, one, _ in found if one is not None)]
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
