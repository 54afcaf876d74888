"""The PyTorch runtime: threads, precision flags, devices, copies, waiting, memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.spec import Request

_device = torch.device("cpu")


def configure(request: Request) -> None:
    """Set up the process, after the import and before the first operator.

    Subnormals are flushed to zero. Each thread has that flag for itself and hands it on to those it starts:
    it is set while OpenMP has no workers yet, and set later would hold for the main thread alone.
    """
    global _device
    torch.set_flush_denormal(True)
    torch.set_num_threads(request.threads)
    if torch.get_num_interop_threads() != 1:  # the runtime refuses a second call
        torch.set_num_interop_threads(1)  # eager mode runs one operator at a time, in the backward pass too
    torch.set_float32_matmul_precision("highest")  # no TF32; the old flags, which inductor reads, not the new ones
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # shapes never change
    _device = torch.device(request.cell.platform)


def devices() -> list[str]:
    """Names of the devices in use."""
    return [torch.cuda.get_device_name(_device) if _device.type == "cuda" else "cpu"]


def put(batch: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    """Copies of host arrays on the device; integers as int64, the only kind that `cross_entropy` takes."""
    return {
        name: torch.tensor(array, dtype=torch.int64 if array.dtype.kind in "iu" else None, device=_device)
        for name, array in batch.items()
    }


def sync(x: object) -> None:
    """Wait until `x` and all work dispatched before it is done: on a CPU an operator returns when it is."""
    del x  # a stream keeps the order of its work, so waiting for all is waiting for x
    if _device.type == "cuda":
        torch.cuda.synchronize(_device)


def read(x: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    """Copies of device values on the host."""
    return {name: np.array(tensor.detach().cpu().numpy()) for name, tensor in x.items()}


def memory() -> dict[str, Any]:
    """Peak bytes of the framework's own allocator on each device, or why there is no such figure."""
    if _device.type == "cuda":
        peak = [torch.cuda.max_memory_allocated(_device)]
        return {"device_peak": peak, "device_source": "torch.cuda.max_memory_allocated", "reason": None}
    return {"device_peak": None, "device_source": None, "reason": "PyTorch does not count its allocations on a CPU"}


def threads() -> dict[str, int | None]:
    """Threads of one operator, and operators that may run at once, as the runtime reports them."""
    return {"intra": torch.get_num_threads(), "inter": torch.get_num_interop_threads()}


def versions() -> dict[str, str]:
    """Versions of what computes."""
    found = {"torch": str(torch.__version__)}
    if torch.version.cuda is not None:
        found |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    return found
