"""One run under way: starts its cells, looks at the GPUs meanwhile, makes the records."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import __version__, attainable, ceilings, data, live, plan, processes, record, store, workloads
from bench.handover import discard
from bench.launch import Launcher, with_descendants
from bench.live import LiveCell
from bench.machine import gpu, memory
from bench.machine.energy import LEAST_S
from bench.machine.fingerprint import fingerprint
from bench.machine.noise import NO_COUNT
from bench.machine.processor import physical_cores
from bench.manifests import Manifest
from bench.metering import Meter
from bench.plan import Job
from bench.proof import proofs, verdict
from bench.proof.parity import Trace
from bench.ranks import Outcome
from bench.record import Record
from bench.spec import Cell, Request, spec_hash


@contextmanager
def kept(log: Path) -> Generator[Path]:
    """A log's path; the file is kept if anything was written."""
    yield log
    if log.exists() and not log.stat().st_size:
        log.unlink()


@dataclass(kw_only=True)
class Runner:
    """One run under way: starts its cells and makes their records."""

    launcher: Launcher
    folder: Path
    manifests: Mapping[str, Manifest]
    min_time_s: float
    timeout_s: float
    meter: Meter = field(default_factory=Meter)
    price_per_hour: float | None = None
    turns: bool = True  # whether cells are visited in turn, where they can be

    def __post_init__(self) -> None:
        self.fingerprint = fingerprint()

    def measure(self, job: Job) -> Outcome:
        """Run the cell once, or say why it cannot be."""
        if absence := plan.absence(job.cell, self.manifests):
            return Outcome.failed(*absence)
        with kept(self.log(job)) as log, self.watched(job.cell) as watch:
            request = self.request(job.cell, job.repeat)
            begun_at = time.perf_counter()
            outcome = self.launcher.run(request, self.timeout_s, log)
        outcome = replace(outcome, begun_at=begun_at, joules=self.meter.readings(begun_at))
        discard(request)
        return self.with_gpus(outcome, watch)

    def takes_turns(self, cell: Cell) -> bool:
        """Whether a cell is visited in turn with others; one that cannot run here is not."""
        return self.turns and plan.takes_turns(cell) and plan.absence(cell, self.manifests) is None

    def begin(self, job: Job) -> LiveCell:
        """Start a process of the cell that will be visited."""
        request = self.request(job.cell, job.repeat)
        visit_s = min(plan.VISIT_S, max(request.min_time_s / request.min_windows, request.window_s))
        latency_steps = 0 if job.repeat else request.latency_steps
        request = replace(request, window_s=visit_s / 2, latency_steps=latency_steps)
        return live.begin(self.launcher, job, request, self.timeout_s, self.log(job))

    def end(self, cell: LiveCell, since: float) -> Outcome:
        """End a live cell; counters of energy are read from `since` on, as others that are alive began then."""
        with kept(self.log(cell.job)):
            outcome = cell.end()
        discard(cell.request)
        return replace(outcome, joules=self.meter.readings(since))

    def held(self, cells: Sequence[LiveCell]) -> int:
        """Bytes that the processes of some live cells hold now, and all that they have started."""
        return memory.held_by(with_descendants([pid for cell in cells for pid in cell.started.pids])) or 0

    def log(self, job: Job) -> Path:
        return self.folder / store.LOGS / f"{job.cell.id}-{job.repeat}.log"

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
        with gpu.watched(self.launcher.processes, processes.name_of, gpus) as watch:
            yield watch

    def with_gpus(self, outcome: Outcome, watch: gpu.Watch) -> Outcome:
        """The outcome with what was seen of the GPUs."""
        outcome.reasons["memory_bytes.driver_peak"] = watch.why_no_peak
        if watch.reason is None:
            during = [[one | {"at_s": one["at_s"] - outcome.begun_at} for one in look] for look in watch.during]
            seen = {"before": watch.before, "during": during, "after": watch.after, "foreign": watch.foreign}
            outcome.fields["machine"] = self.fingerprint | {"gpus_seen": seen}
        if outcome.fields.get("memory_bytes"):
            outcome.fields["memory_bytes"]["driver_peak"] = watch.driver_peak
        return outcome

    def trace(self, cell: Cell, steps: int, first_scale: float, within_s: float | None) -> Trace:
        """Losses and final state, for proofs, references and drifts."""
        own_cache = str(self.launcher.scratch / "traced" / cell.id)  # so that the first repeat compiles
        request = replace(self.request(cell, 0), first_scale=first_scale, cache=own_cache)
        with kept(self.folder / store.LOGS / f"trace-{cell.id}.log") as log:
            return proofs.run_trace(self.launcher, cell, steps, request, self.at_most(within_s), log)

    def at_most(self, within_s: float | None) -> float:
        """Seconds that a process for evidence may take."""
        return self.timeout_s if within_s is None else min(self.timeout_s, within_s)

    def test_kernels(self, cell: Cell, within_s: float | None) -> dict[str, Any]:
        """Errors of the kernels that `best` takes, and of the plain forms."""
        with kept(self.folder / store.LOGS / f"kernels-{cell.id}.log") as log:
            return proofs.run_kernels(self.launcher, cell, self.request(cell, 0), self.at_most(within_s), log)

    def ceilings(self, cell: Cell) -> dict[str, Any]:
        """What a device does at most, as the cell's implementation has it: an entry of `ceilings` in `run.json`."""
        alone = cell.on_one_device()
        name = f"ceilings-{cell.impl}-{cell.variant}-{cell.platform}-{cell.precision}"
        request = replace(self.request(alone, 0), folder=str(self.launcher.scratch / name), cache="")
        request = replace(request, **{"task": ceilings.TASK})
        with kept(self.folder / store.LOGS / f"{name}.log") as log:
            outcome = self.launcher.run(request, self.timeout_s, log)
        discard(request)
        return attainable.entry(alone, self.fingerprint, outcome.fields)

    def request(self, cell: Cell, repeat: int) -> Request:
        cores = physical_cores()
        emulated: dict[str, Any] = {"min_time_s": 0.0, "latency_steps": 0, "window_steps": plan.EMULATED_STEPS}
        request = Request(
            cell=cell,
            task="measure",
            folder=str(self.launcher.scratch / f"{cell.id}-{repeat}"),
            repeat=repeat,
            steps=plan.warm_up_steps(cell),
            threads=len(cores),
            cpus=cores,
            min_time_s=max(self.min_time_s, LEAST_S) if self.meter.counts(cell) else self.min_time_s,
            cache=str(self.launcher.scratch / "compiled" / cell.id),
        )
        return replace(request, min_windows=plan.EMULATED_WINDOWS, **emulated) if cell.emulated else request

    def record(self, job: Job, outcome: Outcome) -> Record:
        """The record of a job, unjudged; one that its worker wrote only in part is the word `crashed`."""
        try:
            return self._record(job, outcome)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if not outcome.ok:
                raise
            reason = f"the cell wrote a record that makes no sense: {error}"
            return self._record(job, Outcome.failed("crashed", reason))

    def _record(self, job: Job, outcome: Outcome) -> Record:
        """What the worker found, and what only the runner knows."""
        cell, manifest = job.cell, self.manifests[job.cell.impl]
        energy_j, no_energy = self.meter.energy(cell, outcome)
        for window in outcome.fields.get("windows") or ():
            window["begin_s"] -= outcome.begun_at  # one clock serves all processes of a machine
            window |= {part: window.get(part) for part in ("idle_s", "idle_cpu_s")}
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
            "parity": verdict.unchecked(verdict.UNJUDGED if outcome.ok else verdict.NOT_OK),
            "interpreter": {"name": manifest.interpreter.name, "python": manifest.interpreter.python},
            "energy_j": energy_j,
            "price_per_hour": self.price_per_hour,
            "items_per_step": workload.items_per_step,
            "item": workload.item,
            "flops_per_step": workload.flops_per_step,
            "machine": self.fingerprint,
            # As the packages name them, which resuming compares: PyTorch calls 2.11.0 from PyPI 2.11.0+cu130 itself
            "versions": outcome.fields.pop("versions", {}) | manifest.software() | {"samestep": __version__},
            "flags": manifest.variables(self.request(cell, job.repeat)),
            "data": {"name": workload.data, "sha256": data_hash},
        }
        reasons = not_measured(job, outcome) | no_energy | outcome.reasons
        return record.complete(known | outcome.fields, reasons)


FIRST_ROUND = "measured in the first round"
FOLLOW_EACH_OTHER = "the cell takes no turns: its windows follow each other"
NOT_MEASURED = {
    "price_per_hour": "no --price-per-hour was given",
    "communication": "measured in the first round, where a cell has several devices",
    "latency_s": "emulated devices have no latency of hardware",
    "effective_precision": "the cell ended before its precision was probed",
    "steps_skipped": "the cell ended before its first step",
    "drift": "nothing was retraced: see the verdict's reason",
    "memory_bytes.driver_peak": "the cell uses no GPU",
    "windows.foreign_cpu_s": NO_COUNT,
    "windows.steal_s": NO_COUNT,
    "windows.cpu_s": NO_COUNT,
    "parity.reference": "no float64 reference for this cell",
    "parity.reference_losses": "no float64 reference for this cell",
    "parity.max_rel_loss_diff": "nothing was compared: see the verdict's reason",
    "parity.proof": "no proof for this cell",
}


def not_measured(job: Job, outcome: Outcome) -> dict[str, str]:
    """Why parts of a record are null."""
    reasons = dict(NOT_MEASURED)
    if outcome.ok and "memory_bytes" not in outcome.fields:
        reasons = dict.fromkeys(record.FIELDS, "the process had not ended when this was written") | reasons
    if outcome.ok and "visits" not in outcome.fields:
        reasons |= dict.fromkeys(("visits", "windows.idle_s", "windows.idle_cpu_s"), FOLLOW_EACH_OTHER)
    elif outcome.ok and job.repeat:
        reasons |= {"latency_s": FIRST_ROUND, "effective_precision": FIRST_ROUND}
    return reasons


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
