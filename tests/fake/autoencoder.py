"""A step that is no training but a function of parameters and batch, so that trajectories can agree or not."""

import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tests.fake import backend
from tests.fake.faults import fail_in

OVERFLOW = 2.0**13  # the largest loss scale that the 16-bit numbers here can take


def build(workload: Any, params: Mapping[str, Any], request: Any) -> tuple[Any, Any]:
    fail_in("build")
    state = {name: value.copy() for name, value in params.items()}
    state |= {f"{slot}/{name}": np.zeros_like(value) for slot in "mv" for name, value in params.items()}
    rate = 0.99 if request.cell.variant == "plain" else 0.9899
    names = list(params)
    kept = backend.allocate(backend.FAKE_ALLOCATE)
    backend.free(backend.allocate(2 * backend.FAKE_ALLOCATE))  # building takes more than the steps do

    scale, skipped, done = request.first_scale, 0, 0  # of the loss; what is above `OVERFLOW` does
    fault = os.environ.get("FAKE_FAULT", "")

    def step(state: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        nonlocal scale, skipped, done
        done += 1
        fail_in("step")
        if done > 2:
            fail_in("warm")
        if done > request.steps:
            fail_in("steady")
        mixed = {}
        if request.cell.precision == "fp16":
            overflow = scale > OVERFLOW or done > {"overflow": 0, "overflow-later": 100}.get(fault, done)
            scale, skipped = (scale / 2, skipped + 1) if overflow else (scale, skipped)
            mixed = {"skipped": np.float64(skipped)}
        for name in names:
            state[name] *= 1.0 if mixed and overflow else rate
        backend.free(backend.allocate(kept.size // 2 + backend.FAKE_PER_SAMPLE * len(batch["image"])))
        loss = np.float64(batch["image"].mean()) + sum(float(np.abs(state[name]).sum()) for name in names)
        if fault == "nan":
            loss = np.float64("nan")
        return state, {"reconstruction": loss} | mixed

    return state, step


def export(state: Mapping[str, Any], names: Collection[str] | None = None, device: int = 0) -> dict[str, Any]:
    fail_in("export")
    if names is None:  # the whole state, at the end of a trace
        fail_in("state")
    return {name: value for name, value in state.items() if names is None or name in names}


def kernels(workload: Any, request: Any) -> dict[str, Any]:
    """One kernel, which is as good as the plain form, or with the fault `bad-kernel` a hundred times worse."""
    off = {"exact": 0.0, "plain": 1e-6, "best": 1e-4 if os.environ.get("FAKE_FAULT") == "bad-kernel" else 2e-6}
    return {"fused thing": lambda form: {"y": np.ones(3) + off[form]}}


def optimisations(state: Any) -> dict[str, Any]:
    fail_in("optimisations")
    return {"fused": False}
