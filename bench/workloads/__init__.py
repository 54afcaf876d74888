"""The workloads' table of contents. To add one: its file here, a line in `WORKLOADS`, a file per framework."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bench.spec import Workload, WrongInput
from bench.workloads import autoencoder, gan, lm

WORKLOADS: Mapping[str, Mapping[str, Callable[[], Any]]] = {
    "gan": gan.SIZES,
    "autoencoder": autoencoder.SIZES,
    "lm": lm.SIZES,
}
SIZES = ("tiny", "small", "base", "large")

# The size whose float64 trace stands for each in proofs, and its steps. Sizes of one network differ in width alone;
# a twin has the layers and kernels of a network too large to prove on a processor, and an eighth of its width.
STAND_INS: Mapping[str, str] = {
    "tiny": "tiny", "small": "tiny", "base": "base-twin", "large": "large-twin",
    "base-twin": "base-twin", "large-twin": "large-twin",
}  # fmt: skip
PROOF_STEPS = {"tiny": 20, "base-twin": 3, "large-twin": 3}


def get(name: str, size: str, batch: int | None = None) -> Workload:
    """The workload at one size; `batch` (samples in one step, over all devices) replaces the size's own.

    Raises:
        WrongInput: the batch is no positive number. Names are the caller's to check.
    """
    workload = WORKLOADS[name][size]()
    if batch is None:
        return workload
    if batch < 1:
        raise WrongInput(f"a batch of {batch} holds no sample; give --batch a positive number")
    return replace(workload, batch=batch)
