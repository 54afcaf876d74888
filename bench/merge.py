"""`bench merge`: the records of several runs in one new folder, which says where they came from."""

import json
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import __version__, reading, record, store
from bench.machine.fingerprint import command, differences
from bench.record import Record
from bench.spec import WrongInput
from bench.store import LOGS, RECORDS_FILE, RUN_FILE, Run
from bench.text import few

COMMON = (
    "seed",
    "min_time_s",
    "timeout_s",
    "a_a",
    "target_ci",
    "max_repeats",
    "cold",
    "price_per_hour",
    "git",
)  # kept where all agree
MAX_ROUND = 1_000_000
LOG = re.compile(r"([0-9a-f]{16})-(\d{1,7})\.log")  # of one repeat of one cell
LOG_BYTES = 64 * reading.MIB  # a larger one is not copied


def merge(folders: Sequence[Path], out: Path, *, force: bool = False) -> Path:
    """Write the run that holds the records of several, whole or not at all; returns its folder.

    Rounds of different runs stay different: those of each run are counted on from the last of the runs before it, in
    every cell alike, so that what is paired by round was measured in the same one.

    Raises:
        WrongInput: fewer than two runs, one given twice or that cannot be read, a folder that exists, or runs that do
            not belong together and are not forced to.
    """
    if len(folders) < 2:
        raise WrongInput("give two runs or more: one alone is merged already")
    if os.path.lexists(out):
        raise WrongInput(f"{out} exists already; name a new folder with -o")
    runs = [store.load(folder) for folder in folders]
    check_distinct(runs)
    apart = [*mathematics(runs), *machines(runs)]
    if apart and not force:
        raise WrongInput(f"not merged: {few(apart)}. Add --force to merge all the same")
    firsts = first_rounds(runs)
    write(out, runs, firsts, described(runs, firsts, apart))
    return out


def check_distinct(runs: Sequence[Run]) -> None:
    """Raises WrongInput where two of the runs are one: the same folder, or a copy of it."""
    folders: dict[Path, Path] = {}
    lines: dict[str, Path] = {}
    for run in runs:
        if run.folder.resolve() in folders:
            raise WrongInput(f"{run.folder} is given twice: its repeats would count twice")
        folders[run.folder.resolve()] = run.folder
        own = {record.encode(one) for one in run.records}
        if twin := next((lines[one] for one in own if one in lines), None):
            raise WrongInput(f"{run.folder} and {twin} hold the same records, which would count twice")
        lines |= dict.fromkeys(own, run.folder)


def mathematics(runs: Sequence[Run]) -> Iterator[str]:
    """Cells that train something else in one run than in another."""
    known: dict[str, tuple[Any, str]] = {}
    told: set[str] = set()
    for run in runs:
        for one in run.records:
            cell = one["cell_id"]
            spec, first = known.setdefault(cell, (one.get("spec_hash"), str(run.folder)))
            if spec != one.get("spec_hash") and cell not in told:
                told.add(cell)
                yield f"cell {cell} trains something else in {run.folder} than in {first} (spec_hash)"


def machines(runs: Sequence[Run]) -> Iterator[str]:
    """In what the machines of the runs differ from that of the first."""
    first = runs[0].meta.get("machine")
    for run in runs[1:]:
        other = run.meta.get("machine")
        found = differences(first, other if isinstance(other, dict) else {})  # pyright: ignore[reportUnknownArgumentType]
        yield from (f"the machine of {run.folder} is another than that of {runs[0].folder}: {one}" for one in found)


def first_rounds(runs: Sequence[Run]) -> list[int]:
    """What is added to the rounds of each run.

    Raises:
        WrongInput: a record without a round.
    """
    found, following = list[int](), 0
    for run in runs:
        found.append(following)
        rounds = [one.get("repeat") for one in run.records]
        if odd := [one for one in rounds if type(one) is not int or not 0 <= one < MAX_ROUND]:
            raise WrongInput(f"{run.folder} holds a record whose repeat is {odd[0]!r:.40}: no round to count on from")
        following += max((one for one in rounds if isinstance(one, int)), default=-1) + 1
    return found


def described(runs: Sequence[Run], firsts: Sequence[int], apart: Sequence[str]) -> dict[str, Any]:
    """What `run.json` says: what the runs have in common, and of each where it came from."""
    plans = [[one for one in listed(run.meta.get("plan")) if isinstance(one, str)] for run in runs]
    repeats = [run.meta.get("repeats") for run in runs]
    counted = all(type(one) is int for one in repeats) and len({frozenset(plan) for plan in plans}) == 1
    starts = [one for run in runs if isinstance(one := run.meta.get("started_at"), str)]
    return {
        "schema": record.SCHEMA,
        "samestep": __version__,
        "command": command(),
        "started_at": min(starts, default=None),
        "merged_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "merged": [source(run, first) for run, first in zip(runs, firsts, strict=True)],
        "forced": list(apart) or None,
        "repeats": sum(one for one in repeats if isinstance(one, int)) if counted else None,
        **{name: common([run.meta.get(name) for run in runs]) for name in COMMON},
        "plan": list(dict.fromkeys(cell for plan in plans for cell in plan)),
        "machine": runs[0].meta.get("machine"),
        "ceilings": [one for run in runs for one in listed(run.meta.get("ceilings")) if isinstance(one, dict)],
    }


def source(run: Run, first_round: int) -> dict[str, Any]:
    git = run.meta.get("git")
    told = {name: run.meta.get(name) for name in ("started_at", "schema", "samestep", "command")}
    commit = git.get("commit") if isinstance(git, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    earlier = {"merged": run.meta["merged"]} if "merged" in run.meta else {}
    return {"name": run.name, "commit": commit, **told, "first_round": first_round, **earlier}


def common(values: Sequence[Any]) -> Any:
    """The value that all have, else None."""
    return values[0] if all(one == values[0] for one in values) else None


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def write(out: Path, runs: Sequence[Run], firsts: Sequence[int], meta: Mapping[str, Any]) -> None:
    """Write all beside the new folder, read it back, and only then give it its name.

    Raises:
        WrongInput: it cannot be written, or would be larger than what is read of a run.
    """
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        (part / LOGS).mkdir(parents=True)
        flushed(part / RUN_FILE, [json.dumps(meta, indent=1)])
        flushed(part / RECORDS_FILE, (record.encode(one) for one in renumbered(runs, firsts)))
        for run, first in zip(runs, firsts, strict=True):
            copy_logs(run, first, part / LOGS)
        store.load(part)
        part.rename(out)
    except OSError as error:
        raise WrongInput(f"cannot write {out}: {error.strerror or error}; name another folder with -o") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def renumbered(runs: Sequence[Run], firsts: Sequence[int]) -> Iterator[Record]:
    for run, first in zip(runs, firsts, strict=True):
        yield from (one | {"repeat": one["repeat"] + first} for one in run.records)


def flushed(path: Path, lines: Sequence[str] | Iterator[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


def copy_logs(run: Run, first: int, target: Path) -> None:
    """Copy a run's logs, each under the round that its record has now; where a name is taken, with the run's before it.

    What is no plain file of the run's own, or too large, is left out with a warning.
    """
    folder = run.folder / LOGS
    if not folder.is_dir() or not folder.resolve().is_relative_to(run.folder.resolve()):
        return
    for log in sorted(folder.iterdir()):
        found = LOG.fullmatch(log.name)
        name = f"{found[1]}-{int(found[2]) + first}.log" if found else log.name
        names = (name, *(f"{run.name}{n}-{name}" for n in ("", *(f"-{n}" for n in range(2, 1000)))))
        free = next(one for one in names if not os.path.lexists(target / one))
        try:
            with reading.opened(folder, log.name, LOG_BYTES) as source, (target / free).open("xb") as copy:
                shutil.copyfileobj(source, copy)
        except WrongInput as error:  # what else a stranger may have put there
            warnings.warn(f"a log was not copied: {error}", stacklevel=2)
