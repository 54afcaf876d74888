"""What verdicts rest on, piece by piece: what is kept, which traces make the rest, and about how long they take."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bench import pace, plan, workloads
from bench.machine.processor import physical_cores
from bench.manifests import Manifest
from bench.precision import FIRST_SCALE
from bench.proof import cache, drift, parity, proofs, references
from bench.proof.parity import Trace
from bench.spec import Cell, digest

Found = dict[str, Any]
DOUBLE = 2.0  # assumed of float64's time over float32's, in estimates
STRETCH = 2.0  # a trace is lengthened to one that is needed too, if it takes up to so many times as long


class Source(Protocol):
    """Who traces cells and tests kernels; either raises TraceFailed."""

    def run(self, cell: Cell, steps: int, first_scale: float = FIRST_SCALE) -> Trace: ...
    def start(self, cell: Cell, steps: int) -> Trace: ...  # so many steps or more: losses begin alike
    def test_kernels(self, cell: Cell) -> Found: ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """One trace that has to be made, or a test of kernels."""

    cell: Cell
    steps: int  # 0: a test of kernels
    stretches: bool = False  # whether a longer trace will do

    @property
    def seconds(self) -> float:
        """What it will about take, from its arithmetic and the rate that plans assume."""
        cell = self.cell
        flops = workloads.get(cell.workload, cell.size, cell.global_batch).flops_per_step
        step_s = (
            flops * (DOUBLE if cell.precision == "fp64" else 1.0) / (pace.step_flops_per_s() * len(physical_cores()))
        )
        start_s = plan.CELL_S + plan.COMPILE_S.get(cell.variant, 0.0)
        return start_s + (plan.EMULATED_S * cell.devices if cell.emulated else 0.0) + max(self.steps, 1) * step_s


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece of evidence."""

    kind: str  # as the cache names it
    key: str
    impl: str = ""  # whose cell it is for, where others may not share it
    kept: Found | None  # in the cache, or shipped
    tasks: tuple[Task, ...]  # that make it
    make: Callable[[Source], Mapping[str, Found]]  # by key; raises TraceFailed

    @property
    def id(self) -> tuple[str, str, str]:
        return self.kind, self.key, self.impl


def pieces(cell: Cell, installed: Mapping[str, Manifest], taken: bool) -> dict[str, Piece]:
    """All that a cell's verdict rests on, by its name in `Evidence`.

    Args:
        cell: of an implementation that is installed and has its workload.
        installed: implementations by name.
        taken: whether its drift is taken; else it is shown if it is kept.
    """
    manifest = installed[cell.impl]
    found = {"reference": reference(cell, installed), "proof": proof(cell, installed)}
    if cell.kernels == "best":
        found["kernels"] = kernels(cell, manifest)
    price = drifted(cell, installed) if drift.has_drift(cell) else None
    if price and (taken or price.kept):
        found["drift"] = price
    if cell.precision == "fp16" and not (price and taken):
        found["start"] = started(cell, manifest)
    return found


def reference(cell: Cell, installed: Mapping[str, Manifest]) -> Piece:
    manifest, partner = references.partners(cell, installed)[0]
    key, steps = references.reference_key(manifest, cell, parity.CHECKED_STEPS), parity.CHECKED_STEPS
    return Piece(
        kind="references",
        key=key,
        impl=cell.impl,  # where its first partner fails it may have another than theirs
        kept=references.kept_reference(cell, installed),
        tasks=(Task(cell=partner, steps=steps, stretches=True),),
        make=lambda source: {key: references.find_reference(cell, installed, source.start)},
    )


def proof(cell: Cell, installed: Mapping[str, Manifest]) -> Piece:
    key, proven = proofs.proof_key(installed[cell.impl], cell), proofs.proof_cell(cell)
    cells = proofs.compared(proven, cell.impl, installed).values()
    return Piece(
        kind="proofs",
        key=key,
        kept=cache.load("proofs", key),
        tasks=tuple(Task(cell=one, steps=workloads.PROOF_STEPS[proven.size]) for one in cells),
        make=lambda source: proofs.make_proofs(proven, cell.impl, installed, source.run),
    )


def kernels(cell: Cell, manifest: Manifest) -> Piece:
    """The test of the kernels that a cell uses, by source, versions and variant, size, precision and platform."""
    of_cell = [cell.size, cell.global_batch, cell.precision, cell.platform]
    key = digest([proofs.proof_key(manifest, cell), *of_cell])
    return Piece(
        kind="kernels",
        key=key,
        kept=cache.load("kernels", key),
        tasks=(Task(cell=replace(cell, arm=None), steps=0),),
        make=lambda source: {key: make_kernel_test(key, source.test_kernels(cell))},
    )


def make_kernel_test(key: str, errors: Mapping[str, Any]) -> Found:
    """Whether each kernel `passed` against the plain form that it stands for, and the `reason` with the errors."""
    faults = [fault for name, pair in errors.items() if (fault := parity.kernel_fault(name, **pair))]
    if faults:
        return {"passed": False, "reason": "; ".join(faults)}
    told = ", ".join(f"{name} {pair['best']:.1e} off, plain {pair['plain']:.1e}" for name, pair in errors.items())
    found = {"passed": True, "reason": f"kernels tested: {told}" if told else "best is plain here"}
    cache.save("kernels", key, found)
    return found


def drifted(cell: Cell, installed: Mapping[str, Manifest]) -> Piece:
    manifest, alone = installed[cell.impl], replace(cell, arm=None)
    key = drift.drift_key(manifest, cell)
    tasks = [Task(cell=alone, steps=drift.STEPS)]
    if not references.kept_reference(cell, installed, drift.STEPS):
        tasks.append(Task(cell=references.partners(cell, installed)[0][1], steps=drift.STEPS))
    return Piece(
        kind="drifts",
        key=key,
        kept=cache.load("drifts", key),
        tasks=tuple(tasks),
        make=lambda source: {key: drift.make_drift(alone, manifest, installed, source.run)},
    )


def started(cell: Cell, manifest: Manifest) -> Piece:
    key, alone = drift.drift_key(manifest, cell, parity.CHECKED_STEPS), replace(cell, arm=None)
    return Piece(
        kind="drifts",
        key=key,
        kept=drift.kept_start(manifest, cell),
        tasks=(Task(cell=alone, steps=parity.CHECKED_STEPS),),
        make=lambda source: {key: drift.make_start(alone, manifest, source.run)},
    )


def installed_of(manifests: Mapping[str, Manifest]) -> dict[str, Manifest]:
    return {name: manifest for name, manifest in manifests.items() if manifest.installed}


def to_make(found: Iterable[Piece]) -> list[Piece]:
    """The pieces that are not kept, each once, the cheapest first."""
    lacking = {piece.id: piece for piece in found if not piece.kept}
    return sorted(lacking.values(), key=lambda piece: sum(task.seconds for task in piece.tasks))


def lengthened(task: Task, wanted: Iterable[Task]) -> Task:
    """The longest trace of the same cell that is needed too and takes not much longer, if a longer one will do."""
    longer = [one for one in wanted if task.stretches and one.cell == task.cell and one.steps > task.steps]
    longer = [one for one in longer if one.seconds <= STRETCH * task.seconds]
    return max(longer, key=lambda one: one.steps, default=task)


def missing(cells: Iterable[Cell], manifests: Mapping[str, Manifest], taken: bool = False) -> list[Task]:
    """The traces and tests that would have to be made for the verdicts of cells, each once, in that order.

    Args:
        cells: of the run; those that cannot run here need none.
        manifests: implementations by name.
        taken: whether the drift is taken.
    """
    installed = installed_of(manifests)
    able = [cell for cell in cells if cell.impl in installed and installed[cell.impl].has(cell.workload)]
    lacking = to_make(piece for cell in able for piece in pieces(cell, installed, taken).values())
    wanted = tasks_of(lacking)
    return list(dict.fromkeys(replace(lengthened(task, wanted), stretches=False) for task in wanted))


def tasks_of(found: Sequence[Piece]) -> list[Task]:
    return [task for piece in found for task in piece.tasks]
