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


def partners(cell: Cell, installed: Mapping[str, Manifest]) -> list[tuple[Manifest, Cell]]:
    """Who can make a cell's reference, and the cell that each trains for it; the cell's own framework comes last."""
    others = [name for name in dict.fromkeys((*PARTNERS, *installed)) if name in installed and name != cell.impl]
    found: list[tuple[Manifest, Cell]] = []
    for manifest in (installed[name] for name in [*others, cell.impl]):
        if manifest.has(cell.workload):
            own = {"impl": manifest.name, "variant": manifest.default_variant["cpu"], "precision": "fp64"}
            plain = {"platform": "cpu", "kernels": "plain", "input": "device", "arm": None}
            found.append((manifest, replace(cell.on_one_device(), **own, **plain)))
    return found


def kept_reference(
    cell: Cell, installed: Mapping[str, Manifest], steps: int = parity.CHECKED_STEPS
) -> dict[str, Any] | None:
    """A reference that ships or is in the cache; of the cell's own framework only if no other can make one."""
    if golden := cache.load("golden", golden_key(cell, steps)):
        return golden
    able = [manifest for manifest, _ in partners(cell, installed)]
    able = [manifest for manifest in able if manifest.name != cell.impl] or able
    kept = (cache.load("references", reference_key(manifest, cell, steps)) for manifest in able)
    return next((found for found in kept if found), None)


def find_reference(
    cell: Cell,
    installed: Mapping[str, Manifest],
    run: Callable[[Cell, int], Trace],
    steps: int = parity.CHECKED_STEPS,
) -> dict[str, Any]:
    """Float64 losses of a cell's first steps by another framework; by its own only if no other can make them."""
    if kept := kept_reference(cell, installed, steps):
        return kept
    reason = ""
    for manifest, partner in partners(cell, installed):
        key = reference_key(manifest, cell, steps)
        if found := cache.load("references", key):
            return found
        try:
            trace = run(partner, steps)
        except TraceFailed as error:
            reason = str(error)
            continue
        version = next(iter(manifest.versions().values()), "")
        losses = {loss: values[:steps] for loss, values in trace.losses.items()}
        name = f"{manifest.name} {version} {partner.variant} float64"
        reference = {"losses": losses, "impl": manifest.name, "name": name}
        cache.save("references", key, reference)
        return reference
    return {"losses": None, "reason": reason}
