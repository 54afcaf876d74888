"""The price of a precision: how far a cell's losses drift from float64's over its first steps.

Cells are retraced for it, as a measured cell cycles a few batches once it is warm. A trace in fp16 starts from a loss
scale that skips no update, since what follows a skipped update can be compared with no other training.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from bench.manifests import Manifest
from bench.precision import BACKOFF, FIRST_SCALE
from bench.proof import cache, parity
from bench.proof.parity import Trace
from bench.proof.proofs import TraceFailed, proof_key
from bench.proof.references import find_reference, golden_key
from bench.spec import Cell, digest

STEPS = 100
SIZES = ("tiny", "small")  # elsewhere float64 is too dear
TRIALS = 5  # first scales
LAST = 10  # steps at the end, whose mean is told
SHOWN = 20  # steps of float64's losses that are kept: as many as a record has of its own


class Run(Protocol):
    """Who traces a cell; raises TraceFailed."""

    def __call__(self, cell: Cell, steps: int, first_scale: float = FIRST_SCALE) -> Trace: ...


def steps_of(cell: Cell) -> int:
    """How many steps of a cell are retraced: 0 where the measured ones tell all that is asked of them."""
    if cell.size in SIZES and cell.precision != "fp64" and cell.engine == "plain":
        return STEPS
    return parity.CHECKED_STEPS if cell.precision == "fp16" else 0


def drift_key(manifest: Manifest, cell: Cell) -> str:
    """Of a cell's losses in its own precision: source, versions, variant, optimizer, data, batch, seed, kernels."""
    steps = steps_of(cell)
    return digest([proof_key(manifest, cell), golden_key(cell, steps), cell.precision, cell.kernels, cell.platform])


def unskipped(cell: Cell, steps: int, run: Run) -> tuple[Trace, float]:
    """A trace without a skipped update, and the loss scale that it starts from.

    Raises:
        TraceFailed: there was none, or no scale that was tried skips nothing.
    """
    scale = FIRST_SCALE
    for _ in range(TRIALS):
        trace = run(cell, steps, scale)
        if not trace.skipped:
            return trace, scale
        scale *= BACKOFF**trace.skipped
    raise TraceFailed(f"{cell.label}: skips updates from every loss scale that was tried, {scale:g} would be next")


def find_drift(cell: Cell, manifest: Manifest, installed: Mapping[str, Manifest], run: Run) -> dict[str, Any]:
    """`losses` of the retraced steps; where float64's are known the first of them and the relative difference of each
    step, as the record has it; `reason` where there is none.
    """
    key, steps = drift_key(manifest, cell), steps_of(cell)
    if kept := cache.load("drifts", key):
        return kept
    try:
        trace, scale = unskipped(cell, steps, run)
    except TraceFailed as error:
        return {"losses": None, "reason": str(error)}
    found: dict[str, Any] = {"losses": trace.losses, "scale": scale}
    if steps == STEPS:
        reference = find_reference(cell, installed, run, steps)
        if not reference.get("losses"):
            return found | {"reason": reference.get("reason") or "no reference was made"}
        found["reference_losses"] = {name: values[:SHOWN] for name, values in reference["losses"].items()}
        shares = [share for share, _ in parity.loss_difference(reference["losses"], trace.losses)]
        found["drift"] = {
            "steps": steps,
            "rel_loss_diff": shares,
            "max_rel_loss_diff": max(shares),
            "last_rel_loss_diff": sum(shares[-LAST:]) / LAST,
            "reference": reference["name"],
        }
    cache.save("drifts", key, found)
    return found
