"""Judges a run once all is measured: gathers the evidence, gives each record its verdict, and settles the file."""

from collections.abc import Callable, Mapping
from typing import Any

from bench import resume, search, show, store
from bench.manifests import Manifest
from bench.proof import gathering, verdict
from bench.proof.drift import has_drift
from bench.proof.gathering import LATER, Evidence, Tracer
from bench.record import PARTS, Record
from bench.runner import NOT_MEASURED
from bench.settings import Settings
from bench.spec import Cell
from bench.store import CannotWrite, Journal

NO_PROOF = "--no-proof was given: bench run --resume RUN judges it"
FLOOR_S = 30.0  # that evidence may take in any run: starting the other frameworks alone takes as long as a quick run


def judge(
    journal: Journal,
    manifests: Mapping[str, Manifest],
    tracer: Tracer,
    settings: Settings,
    report: Callable[[str], None],
    spent_s: float | None,
) -> tuple[list[Record], bool]:
    """Give each record of a run that is not judged yet its verdict, its drift and its reference, and store them.

    Args:
        journal: of the run.
        manifests: implementations by name.
        tracer: runs cells.
        settings: of the run.
        report: is told what is being made.
        spent_s: seconds that the measurements took; None where there was nothing to measure.

    Returns:
        The records, and whether they could be stored: if not, the file is as it was.
    """
    records = store.load(journal.folder).records
    open_ = [n for n, one in enumerate(records) if is_open(one) or lacks_drift(one, settings)]
    cells = {n: Cell(**records[n]["cell"]) for n in open_}
    unfit = {n: unfitness(records[n], cells[n], settings, manifests) for n in open_}
    evidence = gathering.gather(
        [cells[n] for n in open_ if not unfit[n]], manifests, tracer, report,
        drift=settings.drift, limit_s=limit(settings, spent_s), cached=settings.cached_proofs,
    )  # fmt: skip
    for n in open_:
        why = unfit[n]
        records[n] = set_aside(records[n], why) if why else judged(records[n], cells[n], evidence[cells[n].id])
    if late := sum(is_late(records[n]) for n in open_):
        show.note(f"{late} of {len(records)} records wait for evidence: bench run --resume {journal.folder} makes it")
    try:
        journal.settle(records[n] for n in open_)
    except CannotWrite as error:
        show.note(f"bench: {error}")
        return records, False
    return records, True


def limit(settings: Settings, spent_s: float | None) -> float | None:
    """Seconds that making evidence may take; None where it was asked for."""
    return None if spent_s is None or settings.drift else max(spent_s, FLOOR_S)


def is_open(found: Record) -> bool:
    """Whether a record waits for its verdict."""
    return found["status"] == "ok" and (found["parity"].get("verdict") == "unchecked" or is_late(found))


def is_late(found: Record) -> bool:
    """Whether its evidence did not fit into the time that there was."""
    return LATER in str(found["parity"].get("reason"))


def lacks_drift(found: Record, settings: Settings) -> bool:
    """Whether a drift was asked for that a record does not have."""
    return settings.drift and found["status"] == "ok" and found["drift"] is None and has_drift(Cell(**found["cell"]))


def unfitness(found: Record, cell: Cell, settings: Settings, manifests: Mapping[str, Manifest]) -> str | None:
    """Why a record cannot be judged now, or None."""
    if settings.find_max_batch:
        return search.UNCOMPARED
    if not settings.proof:
        return NO_PROOF
    manifest = manifests.get(cell.impl)
    if manifest is None or not manifest.has(cell.workload):
        return f"there is no {cell.impl} {cell.workload} here any more"
    changed = manifest.absence or next(resume.code([found], [cell], manifests), None)
    return f"it cannot be judged any more: {changed}" if changed else None


def set_aside(found: Record, why: str) -> Record:
    """The record, unchecked for that reason; one that has another verdict keeps it."""
    return with_parity(found, verdict.unchecked(why)) if found["parity"]["verdict"] == "unchecked" else found


def judged(found: Record, cell: Cell, evidence: Evidence) -> Record:
    """The record with its verdict, if it had none, and its drift, if there is one."""
    price, no_price = verdict.drift(cell, evidence)
    if is_open(found):
        try:
            found = with_parity(found, verdict.verdict(cell, found["losses"], evidence))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            reason = f"its losses make no sense: {error}"
            found = with_parity(found, verdict.unchecked(reason) | {"verdict": "diverged"})
    elif price:
        found = with_parity(found, found["parity"] | {"reference_losses": evidence.drift["reference_losses"]})
    if found["drift"] is None:
        absent = without(found["absent"], "drift") | ({} if price else {"drift": no_price})
        found = {**found, "drift": price, "absent": absent}
    return found


def with_parity(found: Record, said: Mapping[str, Any]) -> Record:
    nulls = [f"parity.{part}" for part in PARTS["parity"] if part != "reason" and said[part] is None]
    absent = without(found["absent"], "parity") | {name: NOT_MEASURED[name] for name in nulls}
    return {**found, "parity": {part: said[part] for part in PARTS["parity"]}, "absent": absent}


def without(absent: Mapping[str, str], field: str) -> dict[str, str]:
    """The reasons for what is null, but for those of one field."""
    return {name: why for name, why in absent.items() if name.split(".")[0] != field}
