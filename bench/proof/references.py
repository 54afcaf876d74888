"""Reference trajectories: float64 losses of a cell's first steps, at its own batch and seed.

Golden ones ship with the package, for cells whose reference is too dear to make on every machine; the others are made
once by another framework than the cell's, and kept in `$SAMESTEP_CACHE`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bench import data, workloads
from bench.manifests import Manifest
from bench.proof import cache, parity
from bench.proof.parity import Trace
from bench.proof.proofs import TraceFailed, source_hash
from bench.spec import Cell, digest, spec_hash

PARTNERS = ("torch", "jax", "tf")  # who makes a reference: the first that is another framework than the cell's


def golden_key(cell: Cell, steps: int = parity.CHECKED_STEPS) -> str:
    """Of all that decides a trajectory in exact arithmetic, whoever computes it."""
    workload = workloads.get(cell.workload, cell.size, cell.global_batch)
    return digest(
        {
            "spec": spec_hash(workload, cell.optimizer, data.data_hash(workload.data)),
            "batch": cell.global_batch,
            "seed": cell.seed,
            "norm_groups": cell.norm_groups,
            "steps": steps,
        }
    )


def reference_key(manifest: Manifest, cell: Cell, steps: int) -> str:
    """Of the reference that `manifest`'s framework makes for a cell."""
    source = source_hash(manifest, cell.workload)
    return digest([golden_key(cell, steps), manifest.name, source, manifest.software()])


def find_reference(
    cell: Cell,
    installed: Mapping[str, Manifest],
    run: Callable[[Cell, int], Trace],
    steps: int = parity.CHECKED_STEPS,
) -> dict[str, Any]:
    """Float64 losses of a cell's first steps by another framework; by its own only if it is alone."""
    if golden := cache.load("golden", golden_key(cell, steps)):
        return golden
    others = [name for name in dict.fromkeys((*PARTNERS, *installed)) if name in installed and name != cell.impl]
    reason = ""
    for name in [*others, cell.impl]:
        manifest = installed[name]
        key = reference_key(manifest, cell, steps)
        if found := cache.load("references", key):
            return found
        if not manifest.has(cell.workload):
            continue
        variant = manifest.default_variant["cpu"]
        plain = {"kernels": "plain", "input": "device", "arm": None}
        partner = replace(cell.on_one_device(), impl=name, variant=variant, precision="fp64", platform="cpu", **plain)
        try:
            trace = run(partner, steps)
        except TraceFailed as error:
            reason = str(error)
            continue
        version = next(iter(manifest.versions().values()), "")
        losses = {loss: values[:steps] for loss, values in trace.losses.items()}
        reference = {"losses": losses, "impl": name, "name": f"{name} {version} {variant} float64"}
        cache.save("references", key, reference)
        return reference
    return {"losses": None, "reason": reason}
