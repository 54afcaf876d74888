"""Adam and AdamW as `bench.spec.Optimizer` states them: PyTorch's own, fused into one kernel call."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.optimizer import Optimizer
from bench.spec import Param

from .layers import Named

CLASSES = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SLOTS = {"m": "exp_avg", "v": "exp_avg_sq"}  # the spec's name: PyTorch's


def build(numbers: Optimizer, params: Named, specs: Mapping[str, Param]) -> torch.optim.Optimizer:
    """The optimizer over `params`, those that decay in a group of their own.

    The fused kernel on a CPU reads gradients in the order of the parameter's memory, whatever their strides:
    `Tensor.backward` leaves them so, `torch.autograd.grad` may not.

    Raises:
        RuntimeError: PyTorch took it but would not fuse it.
    """
    decay = {name: numbers.weight_decay if specs[name].decay else 0.0 for name in params}
    groups = [
        {"params": [param for name, (param, _) in params.items() if decay[name] == value], "weight_decay": value}
        for value in sorted(set(decay.values()))
    ]
    betas = (numbers.beta1, numbers.beta2)
    optimizer = CLASSES[numbers.kind](groups, lr=numbers.lr, betas=betas, eps=numbers.eps, fused=True)
    if not fused(optimizer):
        raise RuntimeError(f"{type(optimizer).__name__} is not fused")
    return optimizer


def fused(optimizer: torch.optim.Optimizer) -> bool:
    return all(group["fused"] for group in optimizer.param_groups)


def names(params: Named) -> list[str]:
    """All names that `export` knows."""
    return [*params, *(f"{slot}/{name}" for slot in SLOTS for name in params)]


def export(
    params: Named, optimizers: Iterable[torch.optim.Optimizer], wanted: Iterable[str]
) -> dict[str, NDArray[Any]]:
    """Copies of parameters `<param>` and slots `<slot>/<param>` in the spec's layout; slots are zero at first."""
    state = {param: slots for optimizer in optimizers for param, slots in optimizer.state.items()}

    def tensor(name: str) -> Tensor:
        slot, _, leaf = name.rpartition("/")
        param, axes = params[leaf]
        if not slot:
            return param.detach().permute(axes)
        return (state[param][SLOTS[slot]] if param in state else torch.zeros_like(param.detach())).permute(axes)

    return {name: np.array(tensor(name).cpu().numpy(), order="C") for name in wanted}
