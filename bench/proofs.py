"""Evidence that a cell's step is the right one: float64 proofs and reference trajectories, made once and kept.

A proof says that this very source, with these versions, computed the same float64 trajectory as another framework.
A reference holds the float64 losses of the first steps at a cell's own batch and seed, made by another framework.
Both lie in `$SAMESTEP_CACHE` (default `~/.cache/samestep`) under the SHA-256 of all that they depend on.
"""

import hashlib
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import cache, data, parity, workloads
from bench.launch import Launcher
from bench.manifests import Manifest
from bench.parity import Losses, Trace
from bench.spec import Cell, Request, digest, spec_hash

PROOF_STEPS = 20
PROOF_SIZE = "tiny"  # stands for its network: a network's sizes differ in width alone
PARTNERS = ("torch", "jax", "tf")  # who makes a reference: the first that is another framework than the cell's

Report = Callable[[str], None]  # told what is being made


class TraceFailed(Exception):
    """A trace could not be made; the text says why."""


@dataclass(kw_only=True)
class Evidence:
    """What verdicts rest on, filled by `gather`."""

    proofs: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])  # by key; or why there is none
    references: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])  # by cell id
    traced: dict[Cell, Losses] = field(
        default_factory=dict[Cell, Losses]
    )  # in this run: a proof's start is a reference


def source_hash(manifest: Manifest, workload: str) -> str:
    """SHA-256 over all source that decides what a step computes: the implementation's, and the specification's."""
    others = {f"{name}.py" for name in workloads.WORKLOADS if name != workload}
    bench = Path(__file__).parent
    files = [path for path in sorted(manifest.folder.glob("*.py")) if path.name not in others]
    files += [bench / "spec.py", bench / "workloads" / f"{workload}.py"]
    content = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files]
    return digest(content)


def software(manifest: Manifest) -> dict[str, str]:
    """Versions that a proof depends on: the framework's packages, numpy, Python's minor one."""
    import numpy as np

    minor = ".".join(platform.python_version_tuple()[:2])
    return manifest.versions() | {"numpy": np.__version__, "python": minor}


def proof_key(manifest: Manifest, cell: Cell) -> str:
    workload = workloads.get(cell.workload, cell.size)
    return digest(
        {
            "impl": manifest.name,
            "source": source_hash(manifest, cell.workload),
            "data": data.data_hash(cell.workload),
            "software": software(manifest),
            "variant": cell.variant,
            "optimizer": cell.optimizer,
            "network": workload.network,
            "devices": cell.devices,
            "norm_groups": cell.norm_groups,
            "kernels": cell.kernels,
            "tolerance": parity.FP64,
        }
    )


def reference_key(manifest: Manifest, cell: Cell) -> str:
    """Key of the reference that `manifest`'s framework makes for a cell."""
    workload = workloads.get(cell.workload, cell.size, cell.global_batch)
    return digest(
        {
            "spec": spec_hash(workload, cell.optimizer, data.data_hash(cell.workload)),
            "batch": cell.global_batch,
            "seed": cell.seed,
            "norm_groups": cell.norm_groups,
            "steps": parity.CHECKED_STEPS,
            "source": source_hash(manifest, cell.workload),
            "software": software(manifest),
            "impl": manifest.name,
        }
    )


def proof_cell(cell: Cell) -> Cell:
    """The cell whose float64 trace proves this cell's network."""
    batch = workloads.get(cell.workload, PROOF_SIZE).batch
    return replace(
        cell, size=PROOF_SIZE, precision="fp64", batch_per_device=batch // cell.devices, global_batch=batch,
        seed=0, input="device", arm=None,
    )  # fmt: skip


def run_trace(launcher: Launcher, cell: Cell, steps: int, request: Request, timeout_s: float, log: Path) -> Trace:
    """Losses of `steps` steps and the state after them, run in a process of its own.

    Raises:
        TraceFailed: the cell did not end well.
    """
    import numpy as np

    folder = launcher.scratch / f"trace-{cell.id}-{steps}"
    outcome = launcher.run(replace(request, cell=cell, task="trace", folder=str(folder), steps=steps), timeout_s, log)
    if not outcome.ok:
        raise TraceFailed(f"{cell.label}: {outcome.fields['status']}: {outcome.fields['reason']}")
    with np.load(folder / "state.npz", allow_pickle=False) as arrays:
        state = {name: arrays[name] for name in arrays.files}
    (folder / "state.npz").unlink()
    return Trace(losses=outcome.fields["losses"], state=state)


def gather(
    cells: Iterable[Cell], manifests: Mapping[str, Manifest], run: Callable[[Cell, int], Trace], report: Report
) -> Evidence:
    """Find, or make, a proof and a reference for every cell whose framework is installed.

    `run` makes the trace of a cell over a number of steps, or raises TraceFailed; `report` is told what is made.
    """
    installed = {name: manifest for name, manifest in manifests.items() if manifest.installed}
    evidence = Evidence()

    def run_kept(cell: Cell, steps: int) -> Trace:
        trace = run(cell, steps)
        evidence.traced[cell] = trace.losses
        return trace

    for cell in cells:
        if cell.impl in installed and manifests[cell.impl].has(cell.workload):
            key = proof_key(manifests[cell.impl], cell)
            if key not in evidence.proofs:
                evidence.proofs[key] = cache.load("proofs", key) or {}
                if not evidence.proofs[key]:
                    made = make_proofs(proof_cell(cell), cell.impl, installed, run_kept, report)
                    evidence.proofs |= made
            evidence.references[cell.id] = find_reference(cell, installed, evidence.traced, run_kept, report)
    return evidence


def make_proofs(
    cell: Cell, impl: str, installed: Mapping[str, Manifest], run: Callable[[Cell, int], Trace], report: Report
) -> dict[str, dict[str, Any]]:
    """Trace the cell in its own framework and, in their default variants, in the others.

    Returns:
        By key, what was found of the cell itself, and the others' proofs where they are equal: where they are not,
        it may be this cell's mistake.
    """
    workload = workloads.get(cell.workload, cell.size, cell.global_batch)
    traces: dict[tuple[str, str], Trace] = {}
    cells: dict[tuple[str, str], Cell] = {}
    failures: dict[tuple[str, str], str] = {}
    for name, manifest in installed.items():
        variant = cell.variant if name == impl else manifest.default_variant[cell.platform]
        if manifest.has(cell.workload):
            cells[name, variant] = replace(cell, impl=name, variant=variant)
            report(f"proving {cells[name, variant].label}")
            try:
                traces[name, variant] = run(cells[name, variant], PROOF_STEPS)
            except TraceFailed as error:
                failures[name, variant] = str(error)
    judged = parity.judge(traces, workload.param_specs(), workload.optimizer(cell.optimizer).lr)
    found: dict[str, dict[str, Any]] = {}
    for name, of_cell in cells.items():
        key = proof_key(installed[of_cell.impl], of_cell)
        proof = keep_proof(key, judged[name]) if name in judged else {"equal": None, "reason": failures[name]}
        if of_cell.impl == impl or proof["equal"]:
            found[key] = proof
    return found


def keep_proof(key: str, judged: parity.Judgement) -> dict[str, Any]:
    """The proof as plain data; on disk too if it is one. Without a second framework `equal` is None."""
    if judged.difference is None:
        return {"equal": None, "reason": judged.reason}
    proof = {
        "equal": judged.equal,
        "reason": judged.reason,
        "against": list(judged.against),
        "steps": PROOF_STEPS,
        "loss": judged.difference.loss,
        "param": judged.difference.param,
        "slot": judged.difference.slot,
    }
    if judged.equal:
        cache.save("proofs", key, proof)
    return proof


def find_reference(
    cell: Cell,
    installed: Mapping[str, Manifest],
    traced: Mapping[Cell, Losses],
    run: Callable[[Cell, int], Trace],
    report: Report,
) -> dict[str, Any]:
    """Float64 losses of a cell's first steps by another framework; by its own only if it is alone."""
    others = [name for name in dict.fromkeys((*PARTNERS, *installed)) if name in installed and name != cell.impl]
    reason = ""
    for name in [*others, cell.impl]:
        manifest = installed[name]
        key = reference_key(manifest, cell)
        if found := cache.load("references", key):
            return found
        if not manifest.has(cell.workload):
            continue
        variant = manifest.default_variant[cell.platform]
        partner = replace(cell, impl=name, variant=variant, precision="fp64", input="device", arm=None)
        try:
            if partner not in traced:
                report(f"reference {partner.label}")
                run(partner, parity.CHECKED_STEPS)
            losses = {loss: values[: parity.CHECKED_STEPS] for loss, values in traced[partner].items()}
        except TraceFailed as error:
            reason = str(error)
            continue
        version = next(iter(manifest.versions().values()), "")
        reference = {"losses": losses, "impl": name, "name": f"{name} {version} {variant} float64"}
        cache.save("references", key, reference)
        return reference
    return {"losses": None, "reason": reason}


def verdict(cell: Cell, losses: Losses | None, evidence: Evidence, manifest: Manifest) -> dict[str, Any]:
    """The record's `parity`: proven, consistent, diverged or unchecked, with what it rests on."""
    key = proof_key(manifest, cell)
    proof, reference = evidence.proofs.get(key, {}), evidence.references.get(cell.id, {})
    said = {"max_rel_loss_diff": None, "reference": reference.get("name"), "proof": key if proof.get("equal") else None}
    if losses is None:
        return said | {"verdict": "unchecked", "reason": "the cell returned no losses"}
    if not reference.get("losses"):
        return said | {"verdict": "unchecked", "reason": reference.get("reason") or "no reference was made"}
    share, fault = parity.trajectory_fault(losses, reference["losses"], cell.precision, cell.size)
    said["max_rel_loss_diff"] = share
    if fault:
        return said | {"verdict": "diverged", "reason": f"{fault} ({reference['name']})"}
    if proof.get("equal") is False:
        return said | {"verdict": "diverged", "reason": f"in float64 it {proof['reason']}"}
    if reference["impl"] == cell.impl:
        return said | {"verdict": "consistent", "reason": "no other framework to agree with"}
    if not proof.get("equal"):
        return said | {"verdict": "consistent", "reason": f"no proof: {proof.get('reason') or 'none was made'}"}
    return said | {"verdict": "proven", "reason": None}
