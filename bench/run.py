"""`bench run`: plan, prove, measure, store, show; then the report, in a process of its own."""

import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import (
    __version__,
    data,
    gpu,
    idle,
    launch,
    machine,
    plan,
    proofs,
    record,
    rounds,
    show,
    stats,
    store,
    verdict,
    workloads,
)
from bench.launch import Launcher, Outcome
from bench.manifests import Manifest
from bench.noise import NO_COUNT
from bench.parity import Trace
from bench.plan import Choice, Job
from bench.record import LATER, Record
from bench.spec import Cell, Request, WrongInput, spec_hash
from bench.verdict import Evidence


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to run what was chosen."""

    repeats: int = 3
    min_time_s: float = 1.0
    timeout_s: float = 300.0
    out: Path | None = None
    cold: bool = False
    report: bool = True
    json: bool = False
    a_a: bool = False  # every cell as two arms
    target_ci: float | None = None  # half width of the interval of the step time; more rounds until it is reached
    max_repeats: int = 20  # rounds, where there is a target
    wait_for_idle_s: float | None = None  # until others leave the cores free, at most


def run(choice: Choice, settings: Settings, manifests: Mapping[str, Manifest]) -> int:
    """Measure every cell chosen, in rounds; returns the exit code."""
    cells = planned(choice, settings, manifests)
    load = idle.settle(machine.physical_cores(), settings.wait_for_idle_s, show.note)
    folder = store.create(settings.out or new_folder(), describe_run(choice, settings, cells) | {"load": load})
    records: list[Record] = []
    with Launcher(manifests, cold=settings.cold) as launcher, show.Progress(f"run {folder}") as progress:
        runner = Runner(launcher=launcher, folder=folder, settings=settings, manifests=manifests)
        able = [cell for cell in cells if absence(cell, manifests) is None]
        evidence = verdict.gather(able, manifests, runner, progress.note)
        for job in progress.each(plan_jobs(cells, able, settings, choice.seed, records)):
            outcome = runner.measure(job)
            records.append(runner.record(job, outcome, evidence))
            store.append(folder, records[-1])
            progress.done(records[-1])
    show.results(records, as_json=settings.json, target=settings.target_ci)
    if settings.report:
        write_report(folder)
    return 0 if all(passed(found) for found in records) else 1


def passed(found: Record) -> bool:
    return found["status"] in record.HARMLESS and found["parity"]["verdict"] != "diverged"


def planned(choice: Choice, settings: Settings, manifests: Mapping[str, Manifest]) -> list[Cell]:
    """Every cell of the run; both arms of each in an A/A run."""
    cells = plan.plan_cells(choice, manifests)
    return rounds.arms(cells) if settings.a_a else cells


def plan_jobs(
    cells: Sequence[Cell], able: Sequence[Cell], settings: Settings, seed: int, records: Sequence[Record]
) -> Iterator[list[Job]]:
    """One job for each cell that cannot run here and the rounds of the others; then what a target asks for."""
    first = plan.rounds(able, range(settings.repeats), seed)
    yield [*(Job(cell=cell, repeat=0) for cell in cells if cell not in able), *first]
    if settings.target_ci:
        later = range(settings.repeats, settings.max_repeats)
        yield from rounds.further(able, later, seed, settings.target_ci, records)


def absence(cell: Cell, manifests: Mapping[str, Manifest]) -> str | None:
    """Why a cell cannot run here at all, or None."""
    manifest = manifests[cell.impl]
    if manifest.absence:
        return manifest.absence
    if not manifest.has(cell.workload):
        return f"{cell.impl} has no {cell.workload}"
    if (cell.precision, cell.platform) == ("tf32", "cpu"):
        return "TF32 is a mode of NVIDIA's tensor cores: a processor would compute fp32"
    return manifest.lacks(cell.variant)


@dataclass(kw_only=True)
class Runner:
    """One run under way: starts its cells and makes their records."""

    launcher: Launcher
    folder: Path
    settings: Settings
    manifests: Mapping[str, Manifest]

    def __post_init__(self) -> None:
        self.fingerprint = machine.fingerprint()

    def measure(self, job: Job) -> Outcome:
        """Run the cell once, or say why it cannot be."""
        reason = absence(job.cell, self.manifests)
        if reason:
            return Outcome.failed("unsupported", reason)
        with self.kept_log(f"{job.cell.id}-{job.repeat}") as log, self.watched(job.cell) as watch:
            outcome = self.launcher.run(self.request(job.cell, job.repeat), self.settings.timeout_s, log)
        return self.with_gpus(outcome, watch)

    @contextmanager
    def watched(self, cell: Cell) -> Generator[gpu.Watch]:
        """Look at the GPUs while a cell runs that uses them."""
        if cell.platform == "cpu":
            yield gpu.Watch(reason="the cell uses no GPU")
            return
        try:
            gpus = gpu.Gpus(nvml=gpu.load())
        except OSError as error:
            yield gpu.Watch(reason=str(error))
            return
        with gpu.watched(self.launcher.processes, launch.name_of, gpus) as watch:
            yield watch

    def with_gpus(self, outcome: Outcome, watch: gpu.Watch) -> Outcome:
        """The outcome with what was seen of the GPUs."""
        outcome.reasons["memory_bytes.driver_peak"] = watch.why_no_peak
        if watch.reason is None:
            seen = {"before": watch.before, "during": watch.during, "after": watch.after, "foreign": watch.foreign}
            outcome.fields["machine"] = self.fingerprint | {"gpus_seen": seen}
        if outcome.fields.get("memory_bytes"):
            outcome.fields["memory_bytes"]["driver_peak"] = watch.driver_peak
        return outcome

    def trace(self, cell: Cell, steps: int, first_scale: float) -> Trace:
        """Losses and final state, for proofs, references and drifts."""
        own_cache = str(self.launcher.scratch / "traced" / cell.id)  # so that the first repeat compiles
        request = replace(self.request(cell, 0), first_scale=first_scale, cache=own_cache)
        with self.kept_log(f"trace-{cell.id}") as log:
            return proofs.run_trace(self.launcher, cell, steps, request, self.settings.timeout_s, log)

    def test_kernels(self, cell: Cell) -> dict[str, Any]:
        """Errors of the kernels that `best` takes, and of the plain forms."""
        with self.kept_log(f"kernels-{cell.id}") as log:
            return proofs.run_kernels(self.launcher, cell, self.request(cell, 0), self.settings.timeout_s, log)

    @contextmanager
    def kept_log(self, name: str) -> Generator[Path]:
        """A log's path; the file is kept if anything was written."""
        log = self.folder / store.LOGS / f"{name}.log"
        yield log
        if log.exists() and not log.stat().st_size:
            log.unlink()

    def request(self, cell: Cell, repeat: int) -> Request:
        cores = machine.physical_cores()
        return Request(
            cell=cell,
            task="measure",
            folder=str(self.launcher.scratch / f"{cell.id}-{repeat}"),
            repeat=repeat,
            steps=plan.warm_up_steps(cell),
            threads=len(cores),
            cpus=cores,
            min_time_s=self.settings.min_time_s,
            cache=str(self.launcher.scratch / "compiled" / cell.id),
        )

    def record(self, job: Job, outcome: Outcome, evidence: Evidence) -> Record:
        """The whole record of a job: what the worker found, and what only the runner knows."""
        cell, manifest = job.cell, self.manifests[job.cell.impl]
        losses = outcome.fields.get("losses") if outcome.ok else None
        drift, no_drift = verdict.drift(cell, evidence, manifest)
        workload = workloads.get(cell.workload, cell.size, cell.global_batch)
        data_hash = data.data_hash(workload.data)
        known: dict[str, Any] = {
            "cell": asdict(cell),
            "cell_id": cell.id,
            "spec_hash": spec_hash(workload, cell.optimizer, data_hash),
            "source_hash": proofs.source_hash(manifest, cell.workload),
            "repeat": job.repeat,
            "run": self.folder.resolve().name,
            "started_at": now(),
            "parity": verdict.verdict(cell, losses, evidence, manifest),
            "drift": drift,
            "items_per_step": workload.items_per_step,
            "item": workload.item,
            "flops_per_step": workload.flops_per_step,
            "machine": self.fingerprint,
            "versions": proofs.software(manifest) | {"samestep": __version__} | outcome.fields.pop("versions", {}),
            "flags": manifest.variables(self.request(cell, job.repeat)),
            "data": {"name": workload.data, "sha256": data_hash},
        }
        return record.complete(known | outcome.fields, NOT_MEASURED | {"drift": no_drift} | outcome.reasons)


NOT_MEASURED = {
    "energy_j": LATER,
    "effective_precision": "the cell ended before its precision was probed",
    "steps_skipped": "the cell ended before its first step",
    "windows.foreign_cpu_s": NO_COUNT,
    "windows.steal_s": NO_COUNT,
    "windows.cpu_s": NO_COUNT,
    "parity.reference": "no float64 reference for this cell",
    "parity.max_rel_loss_diff": "no float64 reference for this cell",
    "parity.proof": "no proof for this cell",
}


def describe_run(choice: Choice, settings: Settings, cells: Sequence[Cell]) -> dict[str, Any]:
    """What `run.json` says."""
    return {
        "schema": record.SCHEMA,
        "samestep": __version__,
        "command": machine.command(),
        "started_at": now(),
        "seed": choice.seed,
        "repeats": settings.repeats,
        "a_a": settings.a_a,
        "target_ci": settings.target_ci,
        "max_repeats": settings.max_repeats if settings.target_ci else None,
        "min_time_s": settings.min_time_s,
        "timeout_s": settings.timeout_s,
        "plan": [cell.id for cell in cells],
        "machine": machine.fingerprint(),
        "git": machine.git_state(),
    }


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_folder() -> Path:
    """A folder under `results/` that there is not yet, named by the time."""
    name = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
    candidates = [Path("results") / f"{name}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 100)))]
    return next(folder for folder in candidates if not folder.exists())


def write_report(folder: Path) -> None:
    """Have another process write `report.html`, so that this one never holds pandas and plotly."""
    target = folder / "report.html"
    arguments = ["-m", "bench", "report", str(folder), "-o", str(target)]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    show.note(f"no report: {done.stderr.strip()}" if done.returncode else f"report {target}")


def check_settings(settings: Settings) -> None:
    """Raises WrongInput for a number that makes no sense, or a folder that cannot be used."""
    plan.positive("repeats", settings.repeats)
    plan.positive("min-time", settings.min_time_s)
    plan.positive("timeout", settings.timeout_s)
    least = max(settings.repeats, stats.TARGET_REPEATS)
    if settings.target_ci and settings.max_repeats < least:
        raise WrongInput(f"--max-repeats {settings.max_repeats}: with --target-ci give at least {least} here")
    if settings.wait_for_idle_s is not None:
        plan.positive("wait-for-idle", settings.wait_for_idle_s)
    if settings.out:
        store.check_new(settings.out)


def dry_run(choice: Choice, settings: Settings, manifests: Mapping[str, Manifest]) -> None:
    """Show the cells, what cannot run, and about how long it will take; start and write nothing."""
    cells = planned(choice, settings, manifests)
    able = [cell for cell in cells if absence(cell, manifests) is None]
    least = max(settings.repeats, stats.TARGET_REPEATS) if settings.target_ci else settings.repeats
    repeats = f"{least} to {settings.max_repeats}" if settings.target_ci else least
    seconds = plan.estimate_s(able, least, settings.min_time_s, len(machine.physical_cores()))
    show.rows(
        ("cell", "batch", "optimizer", "repeats", "here"),
        [(show.label(c), c.global_batch, c.optimizer, repeats, absence(c, manifests) or "ready") for c in cells],
    )
    rate = show.scaled(plan.RATE_FLOPS, "FLOP/s")
    more = " or more" if settings.target_ci else ""
    show.note(
        f"about {show.clock(seconds)}{more} for {len(able)} cells, if a core does {rate}; missing proofs come on top"
    )
