"""How the processes of a cell, one for each device, find one another and average their gradients.

PyTorch's own engine: `DistributedDataParallel` over NCCL between GPUs and over gloo between processors.
"""

import atexit
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.spec import Request, Unavailable

GPUS = {"cuda": "CUDA", "rocm": "ROCm"}  # what the devices of a platform are programmed with


def device(request: Request) -> torch.device:
    """That of this process: on one machine the processes take its devices in order."""
    return torch.device("cpu") if request.cell.platform == "cpu" else torch.device("cuda", request.rank)


def check(request: Request) -> None:
    """See that the cell's devices are there.

    Raises:
        Unavailable: they are not, or this build of PyTorch cannot use them.
    """
    platform = request.cell.platform
    if platform in GPUS:
        built_for = {"cuda": torch.version.cuda, "rocm": torch.version.hip}
        if built_for[platform] is None:
            raise Unavailable(
                f"PyTorch {torch.__version__} is built without {GPUS[platform]}: "
                "install the build that https://pytorch.org/get-started names for this machine"
            )
        if torch.cuda.device_count() < request.ranks:
            raise Unavailable(
                f"{request.ranks} devices are needed, PyTorch finds {torch.cuda.device_count()}: ask for fewer with "
                f"--devices, or see that the driver, and {platform.upper()}_VISIBLE_DEVICES, show them all"
            )
    if request.cell.engine == "distributed":
        lacking = None if dist.is_available() else "torch.distributed"
        lacking = lacking or (None if dist.is_gloo_available() else "gloo")
        lacking = lacking or (None if platform == "cpu" or dist.is_nccl_available() else "NCCL")
        if lacking:
            raise Unavailable(f"PyTorch {torch.__version__} is built without {lacking}: install another build of it")


def join(request: Request) -> None:
    """Make this process one of the cell's: here it is known how many there are, which this is, and where they meet.

    All are on one machine, whose name need not resolve: they hear one another over the loopback.
    """
    if request.cell.engine == "plain" or dist.is_initialized():
        return
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    processor = request.cell.platform == "cpu"
    dist.init_process_group(
        "gloo" if processor else "cpu:gloo,cuda:nccl",  # numbers on the host go by gloo also where there are GPUs
        store=dist.FileStore(request.rendezvous, request.ranks),
        rank=request.rank,
        world_size=request.ranks,
        device_id=None if processor else device(request),
    )
    atexit.register(dist.destroy_process_group)  # its threads would end the interpreter with an abort


def gather(numbers: Sequence[float]) -> list[list[float]]:
    """The numbers that each process gave, by rank; all have as many. Returns when all processes called it."""
    if not dist.is_initialized():
        return [list(numbers)]
    own = torch.tensor([0.0, *numbers], dtype=torch.float64)  # never empty: of nothing, nothing is sent
    found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(found, own)
    return [one.tolist()[1:] for one in found]


def first_of(text: str) -> str:
    """What the first process gave."""
    given: list[Any] = [text]
    if dist.is_initialized():
        dist.broadcast_object_list(given, src=0, device=torch.device("cpu"))
    return given[0]


def all_reduce(elements: int, where: torch.device) -> Callable[[], Tensor]:
    """Dispatches the mean over all devices of a float32 vector, as `DistributedDataParallel` takes that of a bucket."""
    vector = torch.zeros(elements, dtype=torch.float32, device=where)

    def mean() -> Tensor:
        vector.div_(dist.get_world_size())
        dist.all_reduce(vector)
        return vector

    return mean


class Loss(nn.Module):
    """A loss as a module whose parameters are those that it trains, whatever else it computes with."""

    def __init__(self, loss: Callable[..., Tensor], params: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.trained, self.forward = nn.ParameterList(params), loss


class Averaging:
    """Computes a loss and leaves its gradients, times a scale, in the parameters: their mean over all devices.

    One forward pass of the wrapper is a whole loss, however often that calls the network, and one backward pass ends
    it: each parameter's gradient comes once, and its bucket is on its way while the others' are still computed.
    """

    def __init__(
        self,
        loss: Callable[..., Tensor],
        params: Sequence[nn.Parameter],
        frozen: Sequence[nn.Parameter],
        scale: Tensor | None,
        exchange: bool,
    ) -> None:
        """`frozen`: parameters that the loss uses and another one trains; without `exchange` gradients stay apart."""
        self.params, self.frozen, self.scale = params, frozen, scale
        self.loss = wrap(Loss(loss, params)) if exchange else loss

    def __call__(self, *inputs: Tensor) -> Tensor:
        for param in self.params:
            param.grad = None  # a new one is written to its bucket; an old one it would be added to, from zero
        for param in self.frozen:  # or a compiled program computes gradients that nobody takes
            param.requires_grad_(False)
        value = self.loss(*inputs)
        for param in self.frozen:
            param.requires_grad_(True)
        value.backward(self.scale)
        return value.detach()


def told(losses: Iterable[Callable[..., Tensor]]) -> str:
    """What exchanges the gradients of some losses, asked of the wrappers."""
    wrapped = [loss.loss for loss in losses if isinstance(loss, Averaging)]
    found = [loss for loss in wrapped if isinstance(loss, DistributedDataParallel)]
    if not found:
        return "none"
    transport = found[0].process_group._get_backend(found[0].device).name()
    logged = [loss._get_ddp_logging_data() for loss in found]
    buckets = [len((one.get("rebuilt_bucket_sizes") or one["bucket_sizes"]).split(",")) for one in logged]
    when = "beside" if max(buckets) > 1 else "after"  # the last bucket has nothing left to go beside
    count, size = " + ".join(map(str, buckets)), logged[0]["bucket_cap_bytes"] // 2**20
    return f"DistributedDataParallel over {transport}, {when} the backward pass, {count} buckets of up to {size} MiB"


def wrap(loss: Loss) -> DistributedDataParallel:
    """The loss with hooks that average its gradients bucket by bucket, from the last layer's on.

    Each process has the parameters of the specification: were one's others, the first broadcast would hide it.
    There are no buffers that could be broadcast before each pass: batch norm keeps its statistics for itself.
    A static graph would gain nothing, as every parameter is used, and put off the first step's exchange to its end.
    """
    return DistributedDataParallel(loss, init_sync=False, gradient_as_bucket_view=True)
