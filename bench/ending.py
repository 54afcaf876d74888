"""The last lines of a run: what came out, what failed and why, what to do next, and why the exit code is what it is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import record, show, store
from bench.record import Record
from bench.spec import Cell

SHOWN = 5  # cells that failed; the report lists all
ADVICE: Mapping[str, str] = {  # by status or verdict
    "oom": "give a smaller --batch, or close other programs",
    "timeout": "give a longer --timeout",
    "crashed": "the log has the framework's own words",
    "killed": "see who ended the process: the system's log, or a limit on memory",
    "nan": "train in a higher --precision",
    "invalid": "the record keeps the windows, and no table counts them",
    "diverged": "bench verify shows at which step and in which tensor",
}


def lines(records: Sequence[Record], folder: Path, report: Path | None, code: int) -> Iterator[str]:
    """What a run has to say at its end, a line each; a search, whose tries may fail, gives no records."""
    cells = show.by_cell(records)
    failed = [group for group in cells if any(trouble(one) for one in group)]
    if cells:
        yield f"{summed_up(cells)}."
    for group in failed[:SHOWN]:
        yield from of_failure(group, folder)
    if len(failed) > SHOWN:
        yield f"{len(failed) - SHOWN} more cells failed: the report lists them"
    if waiting := sum(one["status"] == "ok" and one["parity"]["verdict"] == "unchecked" for one in records):
        yield f"{waiting} unchecked: bench run --resume {folder} judges what can be judged"
    yield f"Report: {report}" if report else f"Records: {folder / store.RECORDS_FILE}"
    yield f"Exit code {code}: {meaning(code, len(failed), len(cells))}."


def summed_up(cells: Sequence[Sequence[Record]]) -> str:
    """How many cells ended how."""
    words = Counter(word(group) for group in cells)
    return f"{len(cells)} cells: " + ", ".join(f"{count} {name}" for name, count in words.items())


def word(group: Sequence[Record]) -> str:
    """What became of a cell: its worst status, or the verdict on it."""
    if bad := [one for one in group if trouble(one)]:
        return str(trouble(bad[0])) if len(bad) == len(group) else f"{trouble(bad[0])} in some rounds"
    ok = [one for one in group if one["status"] == "ok"]
    return f"ok and {show.worst_verdict(ok)}" if ok else group[0]["status"]


def trouble(found: Record) -> str | None:
    """The status or verdict for which a record counts as failed."""
    if found["status"] not in record.HARMLESS:
        return found["status"]
    return "diverged" if found["parity"]["verdict"] == "diverged" else None


def of_failure(group: Sequence[Record], folder: Path) -> Iterator[str]:
    """Which cell failed, how often and why, what to do, and where its log is."""
    bad = [one for one in group if trouble(one)]
    first, status = bad[0], trouble(bad[0]) or ""
    reason = first["parity"]["reason"] if status == "diverged" else first["reason"]
    yield f"  {show.label(Cell(**first['cell']))}: {status} in {len(bad)} of {len(group)} rounds: {reason}"
    log = folder / store.LOGS / f"{first['cell_id']}-{first['repeat']}.log"
    yield f"    {ADVICE.get(status, '')}{f'; log: {log}' if log.exists() else ''}"


def meaning(code: int, failed: int, cells: int) -> str:
    if not code:
        return "every cell is ok, or cannot run here"
    return f"{failed} of {cells} cells failed" if failed else "not all could be stored, or a search found no answer"
