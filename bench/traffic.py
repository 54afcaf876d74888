"""The bytes that a step cannot avoid moving between a device and its memory: what its arithmetic is set against.

Parameters, their gradients and the optimizer's slots, each read once and written once, and the batch, read once.
Activations are left out: how many of them go to memory is for a compiler to decide, and all could stay in a cache. So
a step moves more than this, and its arithmetic per byte is at most what follows from it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from bench import workloads
from bench.precision import stored
from bench.spec import WrongInput, param_count

READ_AND_WRITTEN = 2


def least_bytes(workload: str, size: str, batch: int, optimizer: str, precision: str) -> int:
    """Bytes of one step on one device that takes `batch` samples.

    Raises:
        WrongInput: there is no such optimizer, or the batch holds no sample.
        KeyError: there is no such workload or size.
    """
    spec, number = workloads.get(workload, size, batch), number_bytes(precision)
    kept = 2 + len(spec.optimizer(optimizer).slots)  # parameters, gradients, slots
    return READ_AND_WRITTEN * kept * param_count(spec) * number + batch * sample_bytes(workload, size, precision)


@cache
def sample_bytes(workload: str, size: str, precision: str) -> int:
    """Bytes of one sample of a batch as it lies on the device: real numbers as stored, whole ones as drawn."""
    arrays = workloads.get(workload, size).batch_at(0, 0, 0, 1).values()
    return sum(one.size * (number_bytes(precision) if one.dtype.kind == "f" else one.itemsize) for one in arrays)


def number_bytes(precision: str) -> int:
    """Of one parameter."""
    return {"float64": 8, "float32": 4}[stored(precision)]


def intensity(cell: Mapping[str, Any], flops_per_step: Any) -> float | None:
    """Operations of a cell's step for each byte that it cannot avoid moving: no step of the cell has more of them.

    None where this version does not know the workload as the cell had it: its formula gives another number.
    """
    name, size, devices, batch = (cell[part] for part in ("workload", "size", "devices", "batch_per_device"))
    try:
        if not flops_per_step or workloads.get(name, size, cell["global_batch"]).flops_per_step != flops_per_step:
            return None
        return flops_per_step / devices / least_bytes(name, size, batch, cell["optimizer"], cell["precision"])
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, WrongInput):
        return None  # of a stranger's cell
