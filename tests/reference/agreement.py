"""How far two trainings of one case lie apart, and how far they may."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from tests.reference.cases import CASES, Case
from tests.reference.training import train

Found = Mapping[str, Any]  # `<step>/loss/<name>` and `<step>/<exported name>`
KINDS = {"loss": "loss", "m": "slot", "v": "slot", "mom": "slot", "avg": "slot", "mean": "running", "var": "running"}
# Largest |a − b| as a share of the tensor's largest |a|, of a parameter of max(largest |a|, lr · steps): see
# docs/parity.md for what is reached. Parameters are the coarsest because of the key's bias in attention, whose gradient
# is exactly 0: Adam makes steps of its rounding noise.
LIMITS = {"loss": 1e-14, "param": 1e-11, "slot": 1e-12, "running": 1e-13}


def kind(key: str) -> str:
    return KINDS.get(key.split("/")[1], "param")


def differences(case: Case, reference: Found, found: Found) -> dict[str, float]:
    """The largest difference of each kind over all steps.

    Raises:
        ValueError: not the same names.
    """
    if set(reference) != set(found):
        raise ValueError(f"in one of them only: {sorted(set(reference) ^ set(found))}")
    least = case.workload.optimizer(case.optimizer).lr * case.steps
    largest: dict[str, float] = {}
    for key, a in reference.items():
        scale = max(np.abs(a).max(), least if kind(key) == "param" else np.finfo(float).tiny)
        share = float(np.abs(a - found[key]).max() / scale) if np.isfinite(found[key]).all() else np.inf
        largest[kind(key)] = max(largest.get(kind(key), 0.0), share)
    return largest


def beyond(case: Case, reference: Found, found: Found) -> dict[str, float]:
    """The differences that are too large."""
    return {what: share for what, share in differences(case, reference, found).items() if share > LIMITS[what]}


@cache
def reference(name: str) -> Found:
    """What NumPy makes of a case."""
    return train(CASES[name])
