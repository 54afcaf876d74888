"""The PyTorch runtime: threads, precision flags, devices, copies, waiting, memory."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.spec import Request

from . import exchange

_device = torch.device("cpu")
_codes: list[CodeType] = []  # of the programs that were built


def configure(request: Request) -> None:
    """Set up the process, after the import and before the first operator.

    Subnormals are flushed to zero. Each thread has that flag for itself and hands it on to those it starts:
    it is set while OpenMP has no workers yet, and set later would hold for the main thread alone.

    Raises:
        Unavailable: the devices are not there, or this build of PyTorch cannot use them.
    """
    global _device
    exchange.check(request)
    torch.set_flush_denormal(True)
    torch.set_num_threads(request.threads)
    if torch.get_num_interop_threads() != 1:  # the runtime refuses a second call
        torch.set_num_interop_threads(1)  # eager mode runs one operator at a time, in the backward pass too
    set_precision(request)
    torch.backends.cudnn.benchmark = True  # shapes never change
    _device = exchange.device(request)
    if _device.type == "cuda":
        torch.cuda.set_device(_device)
    exchange.join(request)
    if request.cell.variant == "compile":
        configure_compiler(request)


def set_precision(request: Request) -> None:
    """TensorFloat-32 as asked, off by default only for matrices; sums of 16-bit products in float32 throughout.

    These are the old flags, which Inductor reads: it fails where the new ones were set too.
    """
    tf32 = request.cell.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    matmul = torch.backends.cuda.matmul
    matmul.allow_bf16_reduced_precision_reduction = matmul.allow_fp16_reduced_precision_reduction = False


def configure_compiler(request: Request) -> None:
    """Let Inductor write into the cell's cache alone, and start no process but the C++ compiler."""
    import torch._dynamo.config as dynamo  # slow to import, and only compiled cells need them
    import torch._inductor.config as inductor

    cache = request.cache
    if not cache:
        own = tempfile.mkdtemp(prefix="compiled-", dir=request.folder or None)
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        cache = exchange.first_of(own)  # what one process of a cell has compiled, the others find
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    os.environ["TRITON_CACHE_DIR"] = str(Path(cache) / "triton")
    inductor.compile_threads = 1
    inductor.cpp_cache_precompile_headers = False  # they lie outside of the cache, and need the program `openssl`
    # One source file for a program, not one for each kernel. On a GPU it would need CUDA's headers and a `libcuda.so`
    # to link with, which a driver and PyTorch's own wheels need not bring
    inductor.cpp_wrapper = request.cell.platform == "cpu"
    dynamo.trace_autograd_ops = True  # so that a program holds the gradients too


def program(
    loss: Callable[..., Tensor],
    params: Sequence[nn.Parameter],
    request: Request,
    scale: Tensor | None = None,
    frozen: Sequence[nn.Parameter] = (),
) -> Callable[..., Tensor]:
    """What computes a loss of some tensors and leaves its gradients, times the scale, in `params` and these alone.

    `frozen` are the other parameters that it uses.
    """
    if request.cell.engine == "distributed":
        forward = loss if request.cell.variant == "eager" else compiled_forward(loss)
        return exchange.Averaging(forward, params, frozen, scale, request.exchange)
    if request.cell.variant == "eager":

        def eager(*inputs: Tensor) -> Tensor:
            for param in params:
                param.grad = None
            value = loss(*inputs)
            value.backward(scale, inputs=params)
            return value.detach()

        return eager

    def loss_and_gradients(scale: Tensor | None, *inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        value = loss(*inputs)
        gradients = torch.autograd.grad(value, params, scale)
        return value.detach(), [like(param, gradient) for param, gradient in zip(params, gradients, strict=True)]

    forward_and_backward = compiled(loss_and_gradients)
    _codes.append(loss_and_gradients.__code__)

    def run(*inputs: Tensor) -> Tensor:
        value, gradients = forward_and_backward(scale, *inputs)
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = gradient
        return value

    return run


def compiled_forward(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The loss as a program with a backward pass of its own, which the hooks of an exchange can wait for.

    Called within `DistributedDataParallel`, TorchDynamo splits it where a bucket of gradients is complete, so that its
    exchange begins while the other parts' gradients are computed. A program that held the gradients itself would hand
    them all over at its end.
    """

    def forward(*inputs: Tensor) -> Tensor:
        return loss(*inputs)

    _codes.append(forward.__code__)
    return compiled(forward)


compiled = torch.compile(fullgraph=True, dynamic=False)  # a decorator: one program, or an error


def programs() -> int:
    """How many were built to be compiled."""
    return len(_codes)


def compilations() -> int:
    """How many times one of them was: more than once where something changed that it was compiled for."""
    from torch._C._dynamo.eval_frame import _debug_get_cache_entry_list

    return sum(len(_debug_get_cache_entry_list(code)) for code in set(_codes))


def like(param: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the order of the parameter's memory, in which the fused optimizers read it."""
    return gradient if gradient.stride() == param.stride() else torch.empty_like(param).copy_(gradient)


def devices() -> list[str]:
    """Names of the devices in use."""
    return [torch.cuda.get_device_name(_device) if _device.type == "cuda" else "cpu"]


def put(batch: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    """Copies of host arrays on the device; integers as int64, the only kind that `cross_entropy` takes."""
    return {
        name: torch.tensor(array, dtype=torch.int64 if array.dtype.kind in "iu" else None, device=_device)
        for name, array in batch.items()
    }


def gather(numbers: Sequence[float]) -> list[list[float]]:
    """The numbers that each process of the cell gave, by rank; returns when all called it."""
    return exchange.gather(numbers)


def all_reduce(elements: int) -> Callable[[], Tensor]:
    """Dispatches one mean over all devices of a vector of so many numbers on each."""
    return exchange.all_reduce(elements, _device)


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


def reset_memory() -> None:
    """Have the allocator's peak count anew, from what is held now."""
    if _device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(_device)


def threads() -> dict[str, int | None]:
    """Threads of one operator, and operators that may run at once, as the runtime reports them."""
    return {"intra": torch.get_num_threads(), "inter": torch.get_num_interop_threads()}


def versions() -> dict[str, str]:
    """Versions of what computes."""
    found = {"torch": str(torch.__version__)}
    if torch.version.cuda is not None:
        found |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    return found
