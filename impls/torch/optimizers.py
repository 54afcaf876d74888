"""Optimizers as `bench.optimizer.Optimizer` states them: PyTorch's own, fused where it has such a kernel."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.optimizer import Optimizer
from bench.spec import Param, Request

from . import exchange
from .layers import Named
from .loss_scale import LossScale, on_host

ADAM = {"m": "exp_avg", "v": "exp_avg_sq"}
SLOTS = {  # the spec's name: PyTorch's
    torch.optim.Adam: ADAM,
    torch.optim.AdamW: ADAM,
    torch.optim.RMSprop: {"v": "square_avg", "mom": "momentum_buffer", "avg": "grad_avg"},
    torch.optim.SGD: {"mom": "momentum_buffer"},
}


@dataclass(frozen=True, kw_only=True)
class Update:
    """What makes one update from the gradients that lie in the parameters."""

    optimizer: torch.optim.Optimizer
    step: Callable[[], object]
    loss_scale: LossScale | None = None  # in fp16

    @property
    def scale(self) -> Tensor | None:
        return None if self.loss_scale is None else self.loss_scale.value


def build(numbers: Optimizer, params: Named, specs: Mapping[str, Param], request: Request) -> Update:
    """The update of `params` by their optimizer, in fp16 behind a loss scale."""
    optimizer = build_optimizer(numbers, params, specs)
    if request.cell.precision != "fp16":
        return Update(optimizer=optimizer, step=optimizer.step)
    scale = LossScale(request.first_scale, exchange.device(request))
    if numbers.kind == "sgd":  # the fused kernel takes buffers of a first update that was skipped as they were found
        for param, _ in params.values():
            optimizer.state[param]["momentum_buffer"] = torch.zeros_like(param)
    update = optimizer.step if fused(optimizer) and not numbers.warmup else on_host(optimizer)
    return Update(optimizer=optimizer, step=partial(scale.step, optimizer, update), loss_scale=scale)


def skipped(*updates: Update) -> dict[str, Tensor]:
    """As one of a step's losses: how many updates did not happen so far; nothing without a loss scale."""
    counts = [update.loss_scale.skipped for update in updates if update.loss_scale is not None]
    return {"skipped": torch.stack(counts).sum()} if counts else {}


def build_optimizer(numbers: Optimizer, params: Named, specs: Mapping[str, Param]) -> torch.optim.Optimizer:
    """The optimizer over `params`, those that decay in a group of their own.

    The fused kernels on a CPU read gradients in the order of the parameter's memory, whatever their strides.

    Raises:
        RuntimeError: PyTorch took it but would not fuse it.
    """
    decay = {name: numbers.weight_decay if specs[name].decay else 0.0 for name in params}
    groups = [
        {"params": [param for name, (param, _) in params.items() if decay[name] == value], "weight_decay": value}
        for value in sorted(set(decay.values()))
    ]
    optimizer = create(numbers, groups)
    if numbers.kind != "rmsprop" and not fused(optimizer):
        raise RuntimeError(f"{type(optimizer).__name__} is not fused")
    if numbers.clip:
        optimizer.register_step_pre_hook(clip(numbers.clip))
    if numbers.warmup:
        optimizer.register_step_pre_hook(schedule(numbers))
    return optimizer


def create(numbers: Optimizer, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """PyTorch's class for the formula; there is no fused RMSprop, and one call for all tensors is the next best."""
    lr, momentum = numbers.lr, numbers.momentum
    match numbers.kind:
        case "adam" | "adamw":
            kind = torch.optim.AdamW if numbers.kind == "adamw" else torch.optim.Adam
            return kind(groups, lr, (numbers.beta1, numbers.beta2), numbers.eps, fused=True)
        case "rmsprop":
            alpha, eps, centered = numbers.smoothing, numbers.eps, numbers.centered
            return torch.optim.RMSprop(groups, lr, alpha, eps, momentum=momentum, centered=centered, foreach=True)
        case "sgd":
            return torch.optim.SGD(groups, lr, momentum, dampening=0.0, nesterov=numbers.nesterov, fused=True)


def clip(limit: float) -> Callable[..., None]:
    """Before an update: g ← g · limit / max(norm, limit) over all its tensors; PyTorch's own adds 1e-6 to the norm."""

    def before(optimizer: torch.optim.Optimizer, *_: object) -> None:
        gradients = [param.grad for group in optimizer.param_groups for param in group["params"]]
        norm = torch.nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, limit / norm.clamp(min=limit))

    return before


def schedule(numbers: Optimizer) -> Callable[..., None]:
    """Before update t = 1, 2, …: its rate, in Python's double precision; the kernels take it so."""
    t = 0

    def before(optimizer: torch.optim.Optimizer, *_: object) -> None:
        nonlocal t
        t += 1
        for group in optimizer.param_groups:
            group["lr"] = numbers.rate(t)

    return before


def fused(optimizer: torch.optim.Optimizer) -> bool:
    return all(group.get("fused") for group in optimizer.param_groups)


def slots(optimizer: torch.optim.Optimizer) -> dict[str, str]:
    """The slots that it keeps, with PyTorch's names."""
    found = SLOTS[type(optimizer)]
    return {slot: own for slot, own in found.items() if slot != "avg" or optimizer.defaults["centered"]}


def names(params: Named, update: Update) -> list[str]:
    """All names that `export` knows."""
    return [*params, *(f"{slot}/{name}" for slot in slots(update.optimizer) for name in params)]


def export(params: Named, updates: Iterable[Update], wanted: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Copies of parameters `<param>` and slots `<slot>/<param>` in the spec's layout; slots are zero at first."""
    state = {
        param: {slot: kept[own] for slot, own in slots(update.optimizer).items()}
        for update in updates
        for param, kept in update.optimizer.state.items()
    }

    def tensor(name: str) -> Tensor:
        slot, _, leaf = name.rpartition("/")
        param, axes = params[leaf]
        if not slot:
            return param.detach().permute(axes)
        return (state[param][slot] if param in state else torch.zeros_like(param.detach())).permute(axes)

    return {name: np.array(tensor(name).cpu().numpy(), order="C") for name in wanted}
