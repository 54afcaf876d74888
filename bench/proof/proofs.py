"""Float64 proofs: that this very source, with these versions, computes the same trajectory as another framework.

A proof is made once and kept under the SHA-256 of all that it depends on: in `$SAMESTEP_CACHE`, or shipped with the
package for machines that have one framework.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from bench import data, workloads
from bench.handover import discard
from bench.launch import Launcher
from bench.manifests import Manifest
from bench.proof import cache, parity
from bench.proof.parity import Trace
from bench.spec import Cell, Request, digest


class TraceFailed(Exception):
    """A trace could not be made; the text says why."""


def source_hash(manifest: Manifest, workload: str) -> str:
    """SHA-256 over all source that decides what a step computes: the implementation's, and the specification's."""
    return hash_of(manifest.folder, workload)


@functools.cache
def hash_of(folder: Path, workload: str) -> str:
    """The same, of an implementation's folder; read once, so that an edit during a run is not taken for what ran."""
    others = {f"{name}.py" for name in workloads.WORKLOADS if name != workload}
    bench = Path(__file__).parents[1]
    files = [path for path in sorted(folder.glob("*.py")) if path.name not in others]
    files += [bench / name for name in ("spec.py", "optimizer.py", "precision.py")] + [
        bench / "workloads" / f"{workload}.py"
    ]
    content = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files]
    return digest(content)


def proof_key(manifest: Manifest, cell: Cell) -> str:
    """Of the proof that stands for a cell, with the plain kernels: the others are exact in no float64 of their own."""
    network = workloads.STAND_INS[cell.size]
    return digest(
        {
            "impl": manifest.name,
            "source": source_hash(manifest, cell.workload),
            "data": data.data_hash(workloads.get(cell.workload, network).data),
            "software": manifest.software(),
            "variant": cell.variant,
            "optimizer": cell.optimizer,
            "network": network,
            "devices": cell.devices,
            "engine": cell.engine,
            "norm_groups": cell.norm_groups,
            "kernels": "plain",
            "tolerance": parity.FP64,
        }
    )


def proof_cell(cell: Cell) -> Cell:
    """The cell whose float64 trace proves this cell's network."""
    of_network = at_size(cell, workloads.STAND_INS[cell.size])
    same = {"seed": 0, "input": "device", "scaling": None, "arm": None}
    return replace(of_network, precision="fp64", kernels="plain", platform="cpu", **same)


def at_size(cell: Cell, size: str) -> Cell:
    """The cell at a size, if it is another with that size's own batch, or the next batch that its devices can share.

    A norm group then holds two samples at least.
    """
    batch = cell.global_batch if cell.size == size else workloads.get(cell.workload, size).batch
    batch = max(-(-batch // cell.norm_groups), 2) * cell.norm_groups
    return replace(cell, size=size, batch_per_device=batch // cell.devices, global_batch=batch)


def run_trace(
    launcher: Launcher,
    cell: Cell,
    steps: int,
    request: Request,
    timeout_s: float,
    log: Path,
    instead: Manifest | None = None,
) -> Trace:
    """Losses of `steps` steps and the state after them, run in a process of its own, by `instead` or the cell's impl.

    Raises:
        TraceFailed: the cell did not end well.
    """
    import numpy as np

    folder = launcher.scratch / f"trace-{cell.id}-{instead.package if instead else steps}"
    asked = replace(request, cell=cell, task="trace", folder=str(folder), steps=steps)
    try:
        outcome = launcher.run(asked, timeout_s, log, instead)
        if not outcome.ok:
            raise TraceFailed(f"{cell.label}: {outcome.fields['status']}: {outcome.fields['reason']}")
        states: list[dict[str, Any]] = []
        for file in sorted(folder.rglob("state-*.npz")):
            with np.load(file, allow_pickle=False) as arrays:
                states.append({name: arrays[name] for name in arrays.files})
        state, *copies = parity.states_of_devices(states)
        told = outcome.fields
        return Trace(losses=told["losses"], state=state, copies=copies, skipped=told["steps_skipped"])
    except (BadZipFile, EOFError, LookupError, OSError, TypeError, ValueError) as error:
        raise TraceFailed(f"{cell.label}: it wrote a trace that makes no sense: {error}") from error
    finally:
        discard(asked)


def run_kernels(launcher: Launcher, cell: Cell, request: Request, timeout_s: float, log: Path) -> dict[str, Any]:
    """For each kernel of a cell how far it and its plain form are from float64: see `parity.kernel_fault`.

    Raises:
        TraceFailed: the cell did not end well.
    """
    asked = replace(request, task="kernels", folder=str(launcher.scratch / f"kernels-{cell.id}"))
    outcome = launcher.run(asked, timeout_s, log)
    discard(asked)
    if not outcome.ok:
        raise TraceFailed(f"{cell.label}: {outcome.fields['status']}: {outcome.fields['reason']}")
    return outcome.fields["kernels"]


def compared(cell: Cell, impl: str, installed: Mapping[str, Manifest]) -> dict[tuple[str, str], Cell]:
    """The cells whose traces stand in a proof: the cell itself in its own framework; in the others their default
    variants, on one device. By framework and variant.
    """
    found: dict[tuple[str, str], Cell] = {}
    for name, manifest in installed.items():
        variant = cell.variant if name == impl else manifest.default_variant["cpu"]
        if manifest.has(cell.workload):
            of_impl = cell if name == impl else cell.on_one_device()
            found[name, variant] = replace(of_impl, impl=name, variant=variant)
    return found


def make_proofs(
    cell: Cell, impl: str, installed: Mapping[str, Manifest], run: Callable[[Cell, int], Trace]
) -> dict[str, dict[str, Any]]:
    """Trace all cells that are compared, and judge them.

    Returns:
        By key, what was found of the cell itself, and the others' proofs where they are equal: where they are not,
        it may be this cell's mistake.
    """
    workload = workloads.get(cell.workload, cell.size, cell.global_batch)
    steps = workloads.PROOF_STEPS[cell.size]
    cells = compared(cell, impl, installed)
    traces: dict[tuple[str, str], Trace] = {}
    failures: dict[tuple[str, str], str] = {}
    for name, of_cell in cells.items():
        try:
            traces[name] = run(of_cell, steps)
        except TraceFailed as error:
            failures[name] = str(error)
    judged = parity.judge(traces, workload.param_specs(), workload.optimizer(cell.optimizer).lr)
    found: dict[str, dict[str, Any]] = {}
    for name, of_cell in cells.items():
        manifest = installed[of_cell.impl]
        failed = {"equal": None, "reason": failures.get(name)}
        proof = keep_proof(manifest, of_cell, judged[name], steps) if name in judged else failed
        if of_cell.impl == impl or proof["equal"]:
            found[proof_key(manifest, of_cell)] = proof
    return found


def keep_proof(manifest: Manifest, cell: Cell, judged: parity.Judgement, steps: int) -> dict[str, Any]:
    """The proof as plain data; on disk too if it is one. Without a second framework `equal` is None."""
    if judged.difference is None:
        return {"equal": None, "reason": judged.reason}
    proof = {
        "equal": judged.equal,
        "reason": judged.reason,
        "against": list(judged.against),
        "steps": steps,
        "loss": judged.difference.loss,
        "param": judged.difference.param,
        "slot": judged.difference.slot,
        "software": manifest.software(),
    }
    if judged.equal:
        cache.save("proofs", proof_key(manifest, cell), proof)
    return proof
