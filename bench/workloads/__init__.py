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
SIZES = ("tiny", "small")


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
