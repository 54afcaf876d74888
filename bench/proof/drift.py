"""The price of a precision: how far a cell's losses drift from float64's over its first steps. It is taken where asked.

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


def has_drift(cell: Cell) -> bool:
    """Whether a cell's drift can be taken."""
    return cell.size in SIZES and cell.precision != "fp64" and cell.engine == "plain"


def drift_key(manifest: Manifest, cell: Cell, steps: int = STEPS) -> str:
    """Of a cell's losses in its own precision: source, versions, variant, optimizer, data, batch, seed, kernels."""
    return digest([proof_key(manifest, cell), golden_key(cell, steps), cell.precision, cell.kernels, cell.platform])


def kept_start(manifest: Manifest, cell: Cell) -> dict[str, Any] | None:
    """A start in fp16 that skips no update, as the cache has it; one that was traced for the drift will do."""
    kept = cache.load("drifts", drift_key(manifest, cell)) if has_drift(cell) else None
    kept = kept if kept and kept.get("losses") else None
    return kept or cache.load("drifts", drift_key(manifest, cell, parity.CHECKED_STEPS))


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


def make_start(cell: Cell, manifest: Manifest, run: Run) -> dict[str, Any]:
    """`losses` of the first steps in fp16 from a scale that skips no update.

    Raises:
        TraceFailed: there is none.
    """
    trace, scale = unskipped(cell, parity.CHECKED_STEPS, run)
    found: dict[str, Any] = {"losses": trace.losses, "scale": scale}
    cache.save("drifts", drift_key(manifest, cell, parity.CHECKED_STEPS), found)
    return found


def make_drift(cell: Cell, manifest: Manifest, installed: Mapping[str, Manifest], run: Run) -> dict[str, Any]:
    """`losses` of the retraced steps; where float64's are known the first of them and the relative difference of each
    step, as the record has it; `reason` where there is none.

    Raises:
        TraceFailed: the cell cannot be traced.
    """
    trace, scale = unskipped(cell, STEPS, run)
    found: dict[str, Any] = {"losses": trace.losses, "scale": scale}
    reference = find_reference(cell, installed, run, STEPS)
    if not reference.get("losses"):
        return found | {"reason": reference.get("reason") or "no reference was made"}
    found["reference_losses"] = {name: values[:SHOWN] for name, values in reference["losses"].items()}
    shares = [share for share, _ in parity.loss_difference(reference["losses"], trace.losses)]
    found["drift"] = {
        "steps": STEPS,
        "rel_loss_diff": shares,
        "max_rel_loss_diff": max(shares),
        "last_rel_loss_diff": sum(shares[-LAST:]) / LAST,
        "reference": reference["name"],
    }
    cache.save("drifts", drift_key(manifest, cell), found)
    return found
