"""What passes between the runner and the processes of a cell, all of it files: the request, the record, the log."""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from bench import oom
from bench.machine import memory
from bench.ranks import Outcome
from bench.record import STATUSES
from bench.spec import Request

TAIL_LINES, TAIL_BYTES = 20, 4000  # of a log, in the record of a cell that failed
REASON_CHARS = 1000
RECORD_BYTES = 64 << 20  # of what a process writes, at most
LOG_BYTES = 64 << 20  # a cell that writes more to its log is ended
KEPT_BYTES = 1 << 20  # of the head of a log, and of its tail, where it is longer than both together


def write_request(request: Request) -> Path:
    """The file that a process reads its request from, in the request's folder; there is one for its own files too.

    Raises:
        OSError: it cannot be written.
    """
    folder = Path(request.folder)
    file = folder / "request.json"
    try:
        temporary(folder).mkdir(parents=True, exist_ok=True)
        (folder / "record.json").unlink(missing_ok=True)  # of another request that had the same folder
        file.write_text(request.to_json())
    except OSError as error:
        raise OSError(f"cannot write {file}: {error.strerror}") from error
    return file


def temporary(folder: Path) -> Path:
    """Where the process that a request's folder is for has its temporary files, so that they are removed with it."""
    return folder / "tmp"


def discard(request: Request) -> None:
    """Remove a request's folder, once all in it has been read: a run of many cells would fill the disk."""
    shutil.rmtree(request.folder, ignore_errors=True)


def read_outcome(pid: int, folder: Path) -> Outcome:
    """What a process that has ended left behind."""
    limit, held = memory.limit_of(Path("/proc") / str(pid)), 0
    try:
        _, status, used = os.wait4(pid, 0)
        held = used.ru_maxrss * 1024
    except ChildProcessError:  # ended so early that it was no child of the runner yet, or reaped by who ended it
        status = None
    if told := read_record(folder):
        return told
    if status is None or os.WIFSIGNALED(status):
        name = "another process" if status is None else signal_name(os.WTERMSIG(status))
        return oom.ended(name, limit, held)
    return Outcome.failed("crashed", f"the cell ended with exit code {os.WEXITSTATUS(status)} and wrote no record")


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def read_record(folder: Path) -> Outcome | None:
    """What a process wrote, if it did; what is no record is the word `crashed`."""
    file = folder / "record.json"
    try:
        if file.stat().st_size > RECORD_BYTES:
            return Outcome.failed("crashed", f"the cell wrote a record of more than {RECORD_BYTES >> 20} MiB")
        return _checked(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        return Outcome.failed("crashed", f"the cell wrote a record that cannot be read: {printable(str(error))}")


def _checked(told: Any) -> Outcome:
    """Raises ValueError for what is no record of a process."""
    if not isinstance(told, dict) or told.keys() != {"fields", "reasons", "told_at"}:  # pyright: ignore[reportUnknownMemberType]
        raise ValueError("it is not what a worker writes")
    outcome = Outcome(**told)  # pyright: ignore[reportUnknownArgumentType]
    fields, reasons = outcome.fields, outcome.reasons
    if not isinstance(fields, dict) or not isinstance(reasons, dict) or not isinstance(outcome.told_at, float):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("its parts are not what a worker writes")
    if fields.get("status") not in STATUSES:
        raise ValueError("its status is none that there is")
    if fields.get("reason") is not None:
        fields["reason"] = printable(str(fields["reason"]))[:REASON_CHARS]
    return outcome


def tail(log: Path) -> str | None:
    """The last lines of a log, as text."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    return "\n".join(printable(line) for line in text.splitlines()[-TAIL_LINES:]) or None


def printable(text: str) -> str:
    """The text with a mark for each character that would do something to a terminal, or that cannot be encoded."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


def size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def trim(log: Path) -> None:
    """Leave the head and the tail of a long log. Takes no more room than there was, as the disk may be full."""
    length = size(log)
    left_out = length - 2 * KEPT_BYTES
    note = f"\n[{left_out} bytes left out]\n".encode()
    if left_out <= len(note):
        return
    with contextlib.suppress(OSError), log.open("r+b") as file:
        file.seek(length - KEPT_BYTES)
        end = file.read()
        file.seek(KEPT_BYTES)
        file.write(note + end)
        file.truncate()
