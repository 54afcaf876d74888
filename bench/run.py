"""`bench run`: plan, measure, judge, show; then the report, in a process of its own."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from bench import attainable, ending, judging, metering, pace, plan, record, rounds, search, show, stats, store, turns
from bench import resume as going_on
from bench.launch import Launcher
from bench.machine import idle
from bench.machine.processor import physical_cores
from bench.manifests import Manifest
from bench.plan import Choice, Job
from bench.proof import pieces
from bench.record import Record
from bench.runner import Runner
from bench.settings import Settings, describe_run, describe_settings
from bench.spec import Cell
from bench.store import Journal


def run(choice: Choice, settings: Settings, manifests: Mapping[str, Manifest]) -> int:
    """Measure every cell chosen, in rounds; returns the exit code."""
    cells = planned(choice, settings, manifests)
    load = idle.settle(physical_cores(), settings.wait_for_idle_s, show.note)
    folder = store.create(settings.out or new_folder(), describe_run(choice, settings, cells) | {"load": load})
    if settings.plan_only:
        show.note(f"run {folder} is planned: {len(cells)} cells; measure them, or some, with --resume {folder}")
        return 0
    with store.writing(folder) as journal:
        return measure(journal, cells, choice.seed, settings, manifests)


def resume(
    folder: Path,
    manifests: Mapping[str, Manifest],
    *,
    force: bool = False,
    choose: Mapping[str, Any] | None = None,
    **given: Any,
) -> int:
    """Measure what a run lacks of its plan; returns the exit code.

    Args:
        folder: the run's.
        manifests: implementations by name.
        force: go on although something changed; `run.json` says so.
        choose: fields of the choice, to measure but a part of the plan.
        given: fields of `Settings` that differ from those the run began with.

    Raises:
        WrongInput: the run cannot go on as it began, or another runner measures into it.
    """
    going_on.load(folder)  # before a file is made where no run is
    with store.writing(folder) as journal:
        before, choice = going_on.load(folder)
        kept = {name: before.meta[name] for name in going_on.SETTINGS if before.meta[name] is not None}
        kept |= {"timeout_s": before.meta["timeout_s"], "price_per_hour": going_on.price(before.meta)}
        settings = replace(Settings(**kept), **given)
        choice = replace(choice, **(choose or {}))
        cells, asked = planned(choice, settings, manifests), describe_settings(settings)
        changed = going_on.changes(before, cells, asked, manifests)
        if changed and not force:
            going_on.refuse(folder, changed)
        load = idle.settle(physical_cores(), settings.wait_for_idle_s, show.note)
        store.write_meta(folder, going_on.noted(before.meta, cells, asked, load, changed))
        done = {(found["cell_id"], found["repeat"]) for found in before.records if record.is_whole(found)}
        return measure(journal, cells, choice.seed, settings, manifests, done)


def measure(
    journal: Journal,
    cells: Sequence[Cell],
    seed: int,
    settings: Settings,
    manifests: Mapping[str, Manifest],
    done: Collection[tuple[str, int]] = (),
) -> int:
    """Measure what the plan holds but for what is done: pairs of a cell's id and a repeat."""
    folder = journal.folder
    able = [cell for cell in cells if plan.absence(cell, manifests) is None]
    with (
        Launcher(manifests, cold=settings.cold) as launcher,
        metering.started(launcher.start_sampler, able) as meter,
        show.Progress(f"run {folder}") as progress,
    ):
        runner = Runner(
            launcher=launcher,
            folder=folder,
            manifests=manifests,
            min_time_s=settings.min_time_s,
            timeout_s=settings.timeout_s,
            meter=meter,
            price_per_hour=settings.price_per_hour,
            turns=not settings.find_max_batch,
        )
        jobs = plan_jobs(cells, able, settings, seed, lambda: store.load(folder).records)
        begun_s = time.monotonic()
        measured = measure_rounds(missing(jobs, done), seed, settings.repeats, runner, journal, progress)
        spent_s = time.monotonic() - begun_s if measured else None
        if settings.ceilings and not settings.find_max_batch:
            measure_ceilings(folder, able, runner, progress.note)
        records, stored = judging.judge(journal, manifests, runner, settings, progress.note, spent_s)
    code = 0 if conclude(records, settings) and stored else 1
    report = write_report(folder) if settings.report else None
    for line in ending.lines(() if settings.find_max_batch else records, folder, report, code):
        show.note(line)
    return code


def measure_rounds(
    batches: Iterable[Sequence[Job]],
    seed: int,
    repeats: int,
    runner: Runner,
    journal: Journal,
    progress: show.Progress,
) -> bool:
    """Measure round by round, the cells that take turns all together, the others one after another; whether any was."""

    def keep(found: Record) -> None:
        journal.append(found)
        progress.kept(found)

    draw = random.Random(seed)  # no secret  # nosec B311
    rounds = turns.Rounds(runner=runner, keep=keep, progress=progress, draw=draw, plan=turns.Plan(rounds=repeats))
    for jobs in batches:
        progress.plan(jobs)
        for _, members in groupby(jobs, key=lambda job: job.repeat):
            of_round = list(members)
            together = [job for job in of_round if runner.takes_turns(job.cell)]
            for job in (job for job in of_round if job not in together):
                progress.now(job, "runs")
                keep(runner.record(job, runner.measure(job)))
            rounds.measure(together)
    return progress.jobs > 0


def measure_ceilings(folder: Path, cells: Sequence[Cell], runner: Runner, report: Callable[[str], None]) -> None:
    """Measure once a run what one device attains, in each way that the cells use it, but for what `run.json` holds.

    One that fails is a word in `run.json`, and is tried again when the run goes on.
    """
    meta = store.load(folder).meta
    held: list[dict[str, Any]] = [one for one in meta.get("ceilings", ()) if "status" not in one]
    ways = {attainable.way(vars(cell)): cell for cell in cells if runner.manifests[cell.impl].has("ceilings")}
    known = {attainable.way(one) for one in held}
    for way, cell in ways.items():
        if way not in known:
            report(f"ceilings of {cell.impl} {cell.variant} {cell.precision}")
            held.append(runner.ceilings(cell))
            store.write_meta(folder, {**meta, "ceilings": held})


def conclude(records: Sequence[Record], settings: Settings) -> bool:
    """Show what came out; whether all is well."""
    if settings.find_max_batch:
        return search.conclude(records, settings.find_max_batch, as_json=settings.json)
    show.results(records, as_json=settings.json, target=settings.target_ci)
    return not any(map(ending.trouble, records))


def missing(batches: Iterable[Sequence[Job]], done: Collection[tuple[str, int]]) -> Iterator[list[Job]]:
    """The jobs that have no record yet."""
    for jobs in batches:
        yield [job for job in jobs if (job.cell.id, job.repeat) not in done]


def planned(choice: Choice, settings: Settings, manifests: Mapping[str, Manifest]) -> list[Cell]:
    """Every cell of the run; both arms of each in an A/A run."""
    cells = plan.plan_cells(choice, manifests)
    search.check(cells, settings.find_max_batch)
    return rounds.arms(cells) if settings.a_a else cells


def plan_jobs(
    cells: Sequence[Cell], able: Sequence[Cell], settings: Settings, seed: int, read: Callable[[], Sequence[Record]]
) -> Iterator[list[Job]]:
    """One job for each cell that cannot run here and the rounds of the others; then what a target asks for.

    Instead of rounds the tries of a search, if one was asked for.
    """
    if settings.find_max_batch:
        yield from search.jobs(cells, settings.find_max_batch, read)
        return
    first = plan.rounds(able, range(settings.repeats), seed)
    yield [*(Job(cell=cell, repeat=0) for cell in cells if cell not in able), *first]
    if settings.target_ci:
        later = range(settings.repeats, settings.max_repeats)
        yield from rounds.further(able, later, seed, settings.target_ci, read)


def new_folder() -> Path:
    """A folder under `results/` that there is not yet, named by the time."""
    name = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
    candidates = [Path("results") / f"{name}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 100)))]
    return next(folder for folder in candidates if not folder.exists())


def write_report(folder: Path) -> Path | None:
    """Have another process write `report.html`, so that this one never holds pandas and plotly; where it is then."""
    target = folder / "report.html"
    arguments = ["-m", "bench", "report", str(folder), "-o", str(target)]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        show.note(f"no report: {done.stderr.strip()}")
    return None if done.returncode else target


def ready(cell: Cell, manifests: Mapping[str, Manifest]) -> str:
    absence = plan.absence(cell, manifests)
    return ": ".join(absence) if absence else "ready"


def dry_run(choice: Choice, settings: Settings, manifests: Mapping[str, Manifest]) -> None:
    """Show the cells, what cannot run, and about how long it will take; start and write nothing."""
    cells = planned(choice, settings, manifests)
    able = [cell for cell in cells if plan.absence(cell, manifests) is None]
    if settings.find_max_batch:
        search.foresee(cells, settings.find_max_batch, lambda cell: ready(cell, manifests), settings.timeout_s)
        return
    least = max(settings.repeats, stats.TARGET_REPEATS) if settings.target_ci else settings.repeats
    repeats = f"{least} to {settings.max_repeats}" if settings.target_ci else least
    seconds = plan.estimate_s(able, least, settings.min_time_s, len(physical_cores()))
    show.rows(
        ("cell", "batch", "optimizer", "repeats", "here"),
        [(show.label(c), c.global_batch, c.optimizer, repeats, ready(c, manifests)) for c in cells],
    )
    rate = show.scaled(pace.step_flops_per_s(), "FLOP/s")
    more = " or more" if settings.target_ci else ""
    first = ", and what the devices attain" if settings.ceilings else ""
    show.note(
        f"about {show.clock(seconds)}{more} for {len(able)} cells, if a core does {rate} in a step{first}; "
        f"{evidence(able, settings, manifests)}"
    )


def evidence(cells: Sequence[Cell], settings: Settings, manifests: Mapping[str, Manifest]) -> str:
    """What there is to say before a run of the evidence that it will make."""
    if not settings.proof or settings.cached_proofs:
        return "no evidence is made"
    tasks = pieces.missing(cells, manifests, settings.drift)
    if not tasks:
        return "all evidence is there"
    at_most = "" if settings.drift else ", and at most as long as the measurements take"
    seconds = show.clock(sum(task.seconds for task in tasks))
    return f"plus about {seconds} of evidence: {len(tasks)} trace{'s' * (len(tasks) > 1)}{at_most}"
