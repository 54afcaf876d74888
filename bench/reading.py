"""What is read of a run, which anyone may have written: plain files of its own folder, bounded, strict about JSON."""

import json
import os
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bench.spec import WrongInput

MIB = 1 << 20
MAX_DEPTH = 64  # objects and lists inside one another; records have 6
BOM = b"\xef\xbb\xbf"
WHOLE = 19  # digits that a whole number may have; more are read as a float, as most readers of JSON do


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that is read of a run, far above what `bench run` writes."""

    run_bytes: int = 16 * MIB  # of run.json, which takes 24 bytes for each cell of the plan
    line_bytes: int = 16 * MIB  # of one record; 10 to 100 kB are usual
    records_bytes: int = 512 * MIB
    records: int = 100_000  # lines


LIMITS = Limits()


def whole(folder: Path, name: str, limit: int) -> bytes:
    """All bytes of a file of a run.

    Raises:
        WrongInput: it is no plain file of this folder, or larger than the limit.
        OSError: it cannot be read.
    """
    with opened(folder, name, limit) as file:
        return file.read().removeprefix(BOM)


def lines(folder: Path, name: str, limits: Limits) -> Iterator[tuple[int, bytes]]:
    """The lines of a file of a run, counted from 1, without those that are blank.

    Raises:
        WrongInput: it is no plain file of this folder, or it or a line is larger than the limits, or there are more.
        OSError: it cannot be read.
    """
    with opened(folder, name, limits.records_bytes) as file:
        number = 0
        while line := file.readline(limits.line_bytes + 1):
            number += 1
            if len(line) > limits.line_bytes:
                raise WrongInput(f"{folder / name} line {number} is longer than {size(limits.line_bytes)}: {HOW}")
            if number > limits.records:
                raise WrongInput(f"{folder / name} has more than {limits.records:,} lines: {HOW}")
            line = (line.removeprefix(BOM) if number == 1 else line).strip()
            if line:
                yield number, line


@contextmanager
def opened(folder: Path, name: str, limit: int) -> Generator[BinaryIO]:
    """A file of a run, once it is known to be a plain one of this folder and no larger than the limit.

    A link as the run's folder itself is the user's own choice, a link within it is a stranger's. What would block, as
    a pipe does, or act, as a device may, is never opened.
    """
    path = folder / name
    try:
        target = path.resolve()
        inside = target.is_relative_to(folder.resolve())
    except RuntimeError as error:  # a link to itself
        raise WrongInput(f"cannot read {path}: its links lead in a circle") from error
    if not inside:
        raise WrongInput(f"{path} is a link that leads out of the run's folder, and was not followed: {COPY}")
    if not stat.S_ISREG(target.stat().st_mode):
        raise WrongInput(f"{path} is no plain file, and was not opened: {COPY}")
    with os.fdopen(os.open(target, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise WrongInput(f"{path} is no plain file, and was not opened: {COPY}")
        if found.st_size > limit:
            raise WrongInput(f"{path} is larger than {size(limit)}: {HOW}")
        yield file


HOW = "docs/security.md says how to read so large a run"
COPY = "put the file itself there, if you trust where it comes from"


def size(limit: int) -> str:
    return f"{limit // MIB} MiB" if limit >= MIB else f"{limit} bytes"


def parsed(text: str) -> Any:
    """The value of a text in JSON, with non-finite numbers as the strings that records write for them.

    Raises:
        ValueError: it is none, or nested deeper than `MAX_DEPTH`.
    """
    try:
        found = DECODER.decode(text)
    except RecursionError as error:
        raise TooDeep from error
    if too_deep(found):
        raise TooDeep
    return found


class TooDeep(ValueError):
    """Nested deeper than any file that samestep writes."""

    def __str__(self) -> str:
        return f"it is nested deeper than {MAX_DEPTH} levels"


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= WHOLE else float(digits)


CONSTANTS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
DECODER = json.JSONDecoder(parse_int=_number, parse_constant=CONSTANTS.__getitem__)


OPEN = (dict, list)


def within(value: Any) -> Iterable[Any]:
    return value.values() if type(value) is dict else value  # pyright: ignore[reportUnknownVariableType]


def too_deep(value: Any) -> bool:
    """Whether it is, found level by level: the readers of a record go down by recursion."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for one in level for inner in within(one) if type(inner) in OPEN]
        if not level:
            return False
    return True
