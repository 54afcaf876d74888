"""What a cell's verdict rests on, gathered before anything is measured, and the verdict itself."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from bench.manifests import Manifest
from bench.precision import FIRST_SCALE
from bench.proof import cache, parity
from bench.proof.drift import STEPS, drift_key, find_drift, steps_of
from bench.proof.parity import Losses, Trace
from bench.proof.proofs import TraceFailed, make_proofs, proof_cell, proof_key
from bench.proof.references import find_reference
from bench.spec import Cell, digest

Found = dict[str, Any]
Report = Callable[[str], None]  # told what is being made


class Tracer(Protocol):
    """Who can run cells for evidence; either raises TraceFailed."""

    def trace(self, cell: Cell, steps: int, first_scale: float) -> Trace: ...
    def test_kernels(self, cell: Cell) -> Found: ...


@dataclass(kw_only=True)
class Evidence:
    """What verdicts rest on; where there is none, the reason."""

    proofs: dict[str, Found] = field(default_factory=dict[str, Found])  # by key
    kernels: dict[str, Found] = field(default_factory=dict[str, Found])  # by key
    references: dict[str, Found] = field(default_factory=dict[str, Found])  # by cell id
    drifts: dict[str, Found] = field(default_factory=dict[str, Found])  # by key
    nothing: str = ""  # why none was gathered, where none was


def gather(cells: Iterable[Cell], manifests: Mapping[str, Manifest], tracer: Tracer, report: Report) -> Evidence:
    """Find, or make, all evidence for every cell whose framework is installed; `report` is told what is made."""
    installed = {name: manifest for name, manifest in manifests.items() if manifest.installed}
    evidence = Evidence()
    failed: dict[tuple[Cell, int, float], str] = {}
    traced: dict[tuple[Cell, float], list[Trace]] = {}  # what stands in one proof may in the next

    def run(cell: Cell, steps: int, first_scale: float = FIRST_SCALE, more: bool = False) -> Trace:
        """Of so many steps, or of `more`, if there is such a one: its losses begin alike, its state is another.

        What failed once is not tried again: it may have taken its whole timeout.
        """
        if why := failed.get((cell, steps, first_scale)):
            raise TraceFailed(why)
        kept = traced.setdefault((cell, first_scale), [])
        if found := next((one for one in kept if one.steps == steps or (more and one.steps > steps)), None):
            return found
        report(f"tracing {cell.label} {cell.optimizer}, {steps} steps")
        try:
            kept.append(tracer.trace(cell, steps, first_scale))
        except TraceFailed as error:
            failed[cell, steps, first_scale] = str(error)
            raise
        return kept[-1]

    for cell in cells:
        if cell.impl not in installed or not installed[cell.impl].has(cell.workload):
            continue
        manifest = installed[cell.impl]
        key = proof_key(manifest, cell)
        if key not in evidence.proofs:
            kept = cache.load("proofs", key)
            made = {key: kept} if kept else make_proofs(proof_cell(cell), cell.impl, installed, run)
            evidence.proofs |= made
        if cell.kernels == "best" and (key := kernel_key(manifest, cell)) not in evidence.kernels:
            evidence.kernels[key] = find_kernel_test(key, cell, tracer, report)
        if steps_of(cell) and (key := drift_key(manifest, cell)) not in evidence.drifts:
            evidence.drifts[key] = find_drift(replace(cell, arm=None), manifest, installed, run)
        evidence.references[cell.id] = find_reference(cell, installed, partial(run, more=True))
    return evidence


def kernel_key(manifest: Manifest, cell: Cell) -> str:
    """Of the test of the kernels that a cell uses: its source, versions and variant, size, precision and platform."""
    return digest([proof_key(manifest, cell), cell.size, cell.global_batch, cell.precision, cell.platform])


def find_kernel_test(key: str, cell: Cell, tracer: Tracer, report: Report) -> Found:
    """Errors of each kernel and of the plain form that it stands for, `passed`, and `reason`."""
    if found := cache.load("kernels", key):
        return found
    report(f"testing kernels of {cell.label}")
    try:
        errors = tracer.test_kernels(cell)
    except TraceFailed as error:
        return {"passed": False, "reason": str(error)}
    faults = [fault for name, pair in errors.items() if (fault := parity.kernel_fault(name, **pair))]
    if faults:
        return {"passed": False, "reason": "; ".join(faults)}
    told = ", ".join(f"{name} {pair['best']:.1e} off, plain {pair['plain']:.1e}" for name, pair in errors.items())
    found = {"passed": True, "reason": f"kernels tested: {told}" if told else "best is plain here"}
    cache.save("kernels", key, found)
    return found


def verdict(cell: Cell, losses: Losses | None, evidence: Evidence, manifest: Manifest) -> Found:
    """The record's `parity`: proven, consistent, diverged or unchecked, with what it rests on."""
    key = proof_key(manifest, cell)
    proof, reference = evidence.proofs.get(key, {}), evidence.references.get(cell.id, {})
    kernels = evidence.kernels.get(kernel_key(manifest, cell), {}) if cell.kernels == "best" else {"passed": True}
    said: Found = {
        "max_rel_loss_diff": None,
        "reference": reference.get("name"),
        "reference_losses": reference_losses(cell, reference, evidence, manifest),
        "proof": key if proof.get("equal") else None,
    }
    if losses is None:
        return said | {"verdict": "unchecked", "reason": "only cells that are ok are checked"}
    if evidence.nothing:
        return said | {"verdict": "unchecked", "reason": evidence.nothing}
    if cell.precision == "fp16":  # nothing follows a skipped update that could be compared
        found = evidence.drifts[drift_key(manifest, cell)]
        if not (losses := found["losses"]):
            return said | {"verdict": "unchecked", "reason": f"no trace without skipped updates: {found['reason']}"}
    if not reference.get("losses"):
        return said | {"verdict": "unchecked", "reason": reference.get("reason") or "no reference was made"}
    share, fault = parity.trajectory_fault(losses, reference["losses"], cell.precision, cell.size, cell.workload)
    said["max_rel_loss_diff"] = share
    if fault:
        return said | {"verdict": "diverged", "reason": f"{fault} ({reference['name']})"}
    if proof.get("equal") is False:
        return said | {"verdict": "diverged", "reason": f"in float64 it {proof['reason']}"}
    if not proof.get("equal"):
        return said | {"verdict": "consistent", "reason": f"no proof: {proof.get('reason') or 'none was made'}"}
    if not kernels.get("passed"):
        return said | {"verdict": "consistent", "reason": f"kernels not proven: {kernels.get('reason')}"}
    return said | {"verdict": "proven", "reason": kernels.get("reason")}


def reference_losses(cell: Cell, reference: Found, evidence: Evidence, manifest: Manifest) -> Losses | None:
    """Float64's losses of the first steps: those kept with the drift, as many as a record shows, else those checked."""
    drifted = evidence.drifts.get(drift_key(manifest, cell), {}) if steps_of(cell) else {}
    return drifted.get("reference_losses") or reference.get("losses")


def drift(cell: Cell, evidence: Evidence, manifest: Manifest) -> tuple[Found | None, str]:
    """The record's `drift`, or why there is none."""
    if cell.precision == "fp64":
        return None, "float64 is what others drift from"
    if steps_of(cell) != STEPS:
        return None, "taken on one device, at sizes where float64 is not too dear"
    if evidence.nothing:
        return None, evidence.nothing
    found = evidence.drifts.get(drift_key(manifest, cell), {})
    return found.get("drift"), found.get("reason", "none was made")
