"""The verdict on a cell: what its losses and the evidence say."""

from bench.proof import parity
from bench.proof.drift import has_drift
from bench.proof.gathering import Evidence
from bench.proof.parity import Losses
from bench.proof.pieces import Found
from bench.record import PARTS
from bench.spec import Cell

NOT_OK = "only cells that are ok are checked"
UNJUDGED = "the run ended before it was judged: bench run --resume RUN judges it"
NOT_TAKEN = "not taken: bench run --drift takes it"


def unchecked(reason: str) -> Found:
    """The record's `parity` where nothing was compared."""
    return dict.fromkeys(PARTS["parity"]) | {"verdict": "unchecked", "reason": reason}


def verdict(cell: Cell, losses: Losses, evidence: Evidence) -> Found:
    """The record's `parity`: proven, consistent, diverged or unchecked, with what it rests on."""
    proof, reference = evidence.proof, evidence.reference
    kernels = evidence.kernels if cell.kernels == "best" else {"passed": True}
    said: Found = {
        "max_rel_loss_diff": None,
        "reference": reference.get("name"),
        "reference_losses": evidence.drift.get("reference_losses") or reference.get("losses"),
        "proof": evidence.proof_key if proof.get("equal") else None,
    }
    if cell.precision == "fp16":  # nothing follows a skipped update that could be compared
        start = evidence.start or evidence.drift
        if not start.get("losses"):
            return said | {"verdict": "unchecked", "reason": f"no trace without skipped updates: {start.get('reason')}"}
        losses = start["losses"]
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


def drift(cell: Cell, evidence: Evidence) -> tuple[Found | None, str]:
    """The record's `drift`, or why there is none."""
    if cell.precision == "fp64":
        return None, "float64 is what others drift from"
    if not has_drift(cell):
        return None, "taken on one device, at sizes where float64 is not too dear"
    return evidence.drift.get("drift"), evidence.drift.get("reason", NOT_TAKEN)
