"""The optimizers of `bench.optimizer`, from its docstring: plain loops over tensors."""

import math

import numpy as np

from bench.optimizer import Optimizer
from tests.reference.layers import Array

Tensors = dict[str, Array]


def rate(opt: Optimizer, t: int) -> float:
    if opt.warmup == 0:
        return opt.lr
    x = min(max(t - opt.warmup, 0) / (opt.total - opt.warmup), 1)
    return opt.lr * min(t / opt.warmup, 1) * (opt.floor + (1 - opt.floor) * (1 + math.cos(math.pi * x)) / 2)


def global_norm(grads: Tensors) -> float:
    return math.sqrt(sum(float((g * g).sum()) for g in grads.values()))


def clipped(opt: Optimizer, grads: Tensors) -> Tensors:
    if opt.clip == 0:
        return grads
    share = opt.clip / max(global_norm(grads), opt.clip)
    return {name: g * share for name, g in grads.items()}


def empty_slots(opt: Optimizer, params: Tensors) -> Tensors:
    names = {"adam": "m v", "adamw": "m v", "rmsprop": "v mom avg" if opt.centered else "v mom", "sgd": "mom"}
    return {f"{slot}/{name}": np.zeros_like(p) for slot in names[opt.kind].split() for name, p in params.items()}


def update(opt: Optimizer, params: Tensors, grads: Tensors, slots: Tensors, decayed: set[str], t: int) -> None:
    """Update t = 1, 2, … of the parameters that have a gradient; changes `params` and `slots`."""
    formula = {"adam": adam, "adamw": adam, "rmsprop": rmsprop, "sgd": sgd}[opt.kind]
    for name, g in clipped(opt, grads).items():
        own = {slot: slots[f"{slot}/{name}"] for slot in ("m", "v", "mom", "avg") if f"{slot}/{name}" in slots}
        params[name], own = formula(opt, params[name], g, own, t, opt.kind == "adamw" and name in decayed)
        slots.update({f"{slot}/{name}": value for slot, value in own.items()})


def adam(opt: Optimizer, p: Array, g: Array, own: Tensors, t: int, decay: bool) -> tuple[Array, Tensors]:
    m = opt.beta1 * own["m"] + (1 - opt.beta1) * g
    v = opt.beta2 * own["v"] + (1 - opt.beta2) * g * g
    m_hat, v_hat = m / -math.expm1(t * math.log(opt.beta1)), v / -math.expm1(t * math.log(opt.beta2))
    shrunk = p - rate(opt, t) * opt.weight_decay * p if decay else p
    return shrunk - rate(opt, t) * m_hat / (np.sqrt(v_hat) + opt.eps), {"m": m, "v": v}


def rmsprop(opt: Optimizer, p: Array, g: Array, own: Tensors, t: int, decay: bool) -> tuple[Array, Tensors]:
    new = {"v": opt.smoothing * own["v"] + (1 - opt.smoothing) * g * g}
    spread = new["v"]
    if opt.centered:
        new["avg"] = opt.smoothing * own["avg"] + (1 - opt.smoothing) * g
        spread = new["v"] - new["avg"] * new["avg"]
    new["mom"] = opt.momentum * own["mom"] + g / (np.sqrt(spread) + opt.eps)
    return p - rate(opt, t) * new["mom"], new


def sgd(opt: Optimizer, p: Array, g: Array, own: Tensors, t: int, decay: bool) -> tuple[Array, Tensors]:
    mom = opt.momentum * own["mom"] + g
    direction = g + opt.momentum * mom if opt.nesterov else mom
    return p - rate(opt, t) * direction, {"mom": mom}
