"""Going on with a run that ended before its plan did: what it was asked for, and what has changed since."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any

from bench import data, record, store, workloads
from bench.machine.fingerprint import command, differences, fingerprint
from bench.manifests import Manifest
from bench.plan import Choice
from bench.proof import proofs
from bench.record import Record
from bench.runner import now
from bench.spec import Cell, WrongInput, spec_hash
from bench.store import Run
from bench.text import few

# Fields of run.json that make the plan.
SETTINGS = ("repeats", "min_time_s", "a_a", "target_ci", "max_repeats", "cold", "find_max_batch")
ALSO = ("price_per_hour", "proof", "cached_proofs", "drift")  # no part of the plan: the last command's count
ALWAYS = ("plan", "timeout_s")  # what else is needed of it
TEXT, NUMBER, SEVERAL = (str, NoneType), (int, NoneType), (list,)
CHOICE = {
    "impl": SEVERAL, "workload": SEVERAL, "size": TEXT, "variant": SEVERAL, "precision": SEVERAL, "devices": (int,),
    "device_counts": SEVERAL, "scaling": (str,), "batch": NUMBER, "optimizer": TEXT, "kernels": TEXT, "input": (str,),
    "platform": (str,), "seed": (int,),
}  # fmt: skip


def load(folder: Path) -> tuple[Run, Choice]:
    """A run and what it was asked for.

    Raises:
        WrongInput: no run, or one that does not say enough to go on with it.
    """
    run = store.load(folder)
    if not says_enough(run.meta):
        raise WrongInput(f"{folder} does not say what it was asked for, as runs of this version do: start a new run")
    if not all(map(is_whole, run.records)):
        raise WrongInput(f"{folder} holds a record that is not as runs of this version write them: start a new run")
    return run, Choice(**{name: as_asked(value) for name, value in run.meta["choice"].items()})


def says_enough(meta: Mapping[str, Any]) -> bool:
    """Whether `run.json` has all that makes a plan, each of a kind that it may be."""
    asked: Any = meta.get("choice")
    there = isinstance(asked, dict) and {*SETTINGS, *ALWAYS} <= {*meta}
    return (
        there and asked.keys() == CHOICE.keys() and all(isinstance(asked[name], kind) for name, kind in CHOICE.items())
    )


def is_whole(found: Record) -> bool:
    """Whether a record has all that going on takes."""
    cell: Any = found["cell"]
    parts = ("parity", "versions", "absent")
    there = {*record.FIELDS} <= {*found} and isinstance(cell, dict) and {*cell} == {one.name for one in fields(Cell)}  # pyright: ignore[reportUnknownArgumentType]
    return there and type(found["repeat"]) is int and all(isinstance(found[part], dict) for part in parts)


def as_asked(value: Any) -> Any:
    """A field of the choice as it was before JSON had it."""
    return (*value,) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


def price(meta: Mapping[str, Any]) -> float | None:
    """What an hour of a device costs, as the run has it; it is no part of the plan."""
    found: Any = meta.get("price_per_hour")
    return found if isinstance(found, int | float) and not isinstance(found, bool) and found > 0 else None


def changes(
    run: Run, cells: Sequence[Cell], settings: Mapping[str, Any], manifests: Mapping[str, Manifest]
) -> list[str]:
    """What is no longer as it was when the run began, or when its records were made; nothing if it can go on.

    Args:
        run: as it is on disk.
        cells: that are to be measured now.
        settings: as `run.json` would have them now.
        manifests: implementations by name.
    """
    return [
        *plan(run.meta, cells, settings),
        *mathematics(run.records, cells),
        *schemas(run.schemas),
        *code(run.records, cells, manifests),
        *(f"machine: {one}" for one in differences(run.meta.get("machine"), fingerprint())),
    ]


def plan(meta: Mapping[str, Any], cells: Sequence[Cell], settings: Mapping[str, Any]) -> Iterator[str]:
    if extra := {cell.id for cell in cells} - set(meta["plan"]):
        yield f"{len(extra)} of the cells asked for are not in its plan"
    for name in SETTINGS:
        if meta[name] != settings[name]:
            yield f"{name} was {meta[name]} and is {settings[name]}"


def mathematics(records: Iterable[Record], cells: Iterable[Cell]) -> Iterator[str]:
    """Cells that train something else than their records did."""
    mine = {cell.id: cell for cell in cells}
    told = {found["cell_id"]: found["spec_hash"] for found in records if found["cell_id"] in mine}
    for cell in (mine[one] for one in told):
        workload = workloads.get(cell.workload, cell.size, cell.global_batch)
        if told[cell.id] != spec_hash(workload, cell.optimizer, data.data_hash(workload.data)):
            yield f"{cell.workload} {cell.size} with {cell.optimizer} trains something else, or on other data"


def schemas(written: Iterable[int]) -> Iterator[str]:
    """Another schema measured otherwise."""
    for schema in sorted({*written} - {record.SCHEMA}):
        yield f"records have schema {schema}, and new ones would have {record.SCHEMA}"


def code(records: Iterable[Record], cells: Iterable[Cell], manifests: Mapping[str, Manifest]) -> Iterator[str]:
    """Frameworks of which another source, or other versions of packages, would be measured than before."""
    mine = {(cell.impl, cell.workload) for cell in cells}
    last = {(found["cell"]["impl"], found["cell"]["workload"]): found for found in records}
    for impl, workload in sorted(mine & set(last)):
        manifest, found = manifests[impl], last[impl, workload]
        if found["source_hash"] != proofs.source_hash(manifest, workload):
            yield f"the code of {impl} {workload} is another"
        python = manifest.interpreter.name
        before: Any = found["interpreter"]  # null in records of older schemas
        if isinstance(before, dict) and before.get("name") != python:  # pyright: ignore[reportUnknownMemberType]
            yield f"{impl}: the Python that ran it was {before.get('name')} and is {python}"  # pyright: ignore[reportUnknownMemberType]
        for name, version in manifest.software().items():
            if (other := found["versions"].get(name, version)) != version:
                yield f"{impl}: {name} was {other} and is {version}"


def refuse(folder: Path, found: Sequence[str]) -> None:
    """Raises WrongInput that names what changed."""
    raise WrongInput(
        f"{folder} cannot go on as it began: {few(found)}. "
        "Start a new run, or add --force, which its run.json then says"
    )


def noted(
    meta: Mapping[str, Any],
    cells: Iterable[Cell],
    settings: Mapping[str, Any],
    load: Mapping[str, Any],
    changed: Sequence[str],
) -> dict[str, Any]:
    """What `run.json` says from now on: that the run went on, and, where that was forced, in what it changed."""
    this = {"at": now(), "command": command(), "forced": bool(changed), "changes": list(changed), "load": load}
    whole = list(dict.fromkeys([*meta["plan"], *(cell.id for cell in cells)]))
    own = {name: settings[name] for name in (*SETTINGS, *ALSO)}
    return {**meta, **own, "plan": whole, "resumed": [*meta.get("resumed", ()), this]}
