"""Several devices, one process each: how the processes meet, and how gradients become the mean over them."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.spec import Request

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def join(request: Request) -> None:
    """Meet the other processes of the cell; gloo carries what lies on the host, NCCL what lies on GPUs."""
    if request.cell.engine == "plain":
        return
    if request.cell.nodes == 1:  # the machine's own name, which gloo would look up, may not lead to it
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
    transport = "gloo" if request.cell.platform == "cpu" else "cpu:gloo,cuda:nccl"
    store = dist.FileStore(request.rendezvous, request.ranks)
    dist.init_process_group(transport, store=store, rank=request.rank, world_size=request.ranks)


class Loss(nn.Module):
    """A loss as a module that owns the parameters whose gradients are wanted: that is what PyTorch wraps."""

    def __init__(self, loss: Callable[..., Tensor], params: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.loss, self.params = loss, nn.ParameterList(params)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.loss(*inputs)


def averaged(
    loss: Callable[..., Tensor], params: Sequence[nn.Parameter], request: Request, scale: Tensor | None
) -> Callable[..., Tensor]:
    """What computes a loss and leaves in `params`, and these alone, the mean of its gradients over the processes.

    Buckets of gradients are on their way while the backward pass goes on. One forward pass holds all that the loss
    takes from a network, however often it calls it, as one backward pass follows it. Running statistics are no buffers
    of the module: each process keeps its own.
    """
    module = DistributedDataParallel(Loss(loss, params), gradient_as_bucket_view=True)

    def exchange() -> AbstractContextManager[None]:
        return nullcontext() if request.exchange else module.no_sync()

    def run(*inputs: Tensor) -> Tensor:
        for param in params:
            param.grad = None
        with exchange():
            value = module(*inputs)
            value.backward(scale, inputs=params)
        return value.detach()

    return run


def gather(numbers: Sequence[float]) -> list[list[float]]:
    """The numbers of every process, by rank; a barrier."""
    if not dist.is_initialized():
        return [list(numbers)]
    own = torch.tensor([0.0, *numbers], dtype=torch.float64)  # none at all would be no message
    found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(found, own)
    return [one.tolist()[1:] for one in found]


def all_reduce(elements: int, device: torch.device) -> Callable[[], object]:
    """What dispatches one all-reduce of a float32 vector of so many elements on each device."""
    vector = torch.zeros(elements, device=device)
    return lambda: dist.all_reduce(vector)


def describe() -> str:
    """What averages gradients."""
    if not dist.is_initialized():
        return "none"
    transport = dist.get_backend_config().split("cuda:")[-1]
    return f"DistributedDataParallel over {transport}, while the backward pass goes on"
