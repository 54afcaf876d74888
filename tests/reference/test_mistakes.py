"""The check can fail: mistakes planted in the reference, each noticed by what a framework computed."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.optimizer import Optimizer
from tests.reference import layers, optimizers
from tests.reference.agreement import beyond
from tests.reference.cases import CASES
from tests.reference.conftest import States
from tests.reference.layers import Array
from tests.reference.test_frameworks import INSTALLED
from tests.reference.training import train

CONV, CONV_T, BATCH_NORM, SOFTMAX = layers.conv, layers.conv_t, layers.batch_norm, layers.softmax
ADAM, RMSPROP, SGD, LAYER_NORM = optimizers.adam, optimizers.rmsprop, optimizers.sgd, layers.layer_norm


def unflipped(x: Array, w: Array, stride: int) -> Array:
    return CONV_T(x, w[::-1, ::-1], stride)


def shifted(large: int, small: int, kernel: int, stride: int) -> int:
    """The odd pixel before, not after."""
    return (max((small - 1) * stride + kernel - large, 0) + 1) // 2


def unbiased(x: Array, scale: Array, shift: Array, eps: float, groups: int) -> tuple[Array, Array, Array]:
    """The running variance alone."""
    count = x[..., 0].size // groups
    y, mean, var = BATCH_NORM(x, scale, shift, eps, groups)
    return y, mean, var * count / (count - 1)


def other_eps(x: Array, scale: Array, shift: Array, eps: float, groups: int) -> tuple[Array, Array, Array]:
    return BATCH_NORM(x, scale, shift, eps * (1 + 1e-6), groups)


def ungrouped(x: Array, scale: Array, shift: Array, eps: float, groups: int) -> tuple[Array, Array, Array]:
    y, mean, var = BATCH_NORM(x, scale, shift, eps, 1)
    return y, mean.repeat(groups, axis=0), var.repeat(groups, axis=0)


def steep_at_0(x: Array, leak: float) -> Array:
    return np.where(x.real >= 0, x, leak * x)


def open_at_0(x: Array) -> Array:
    return np.where(x.real >= 0, x, 0.0)


def peeking(x: Array, allowed: Any) -> Array:
    """A query sees the token after it."""
    return SOFTMAX(x, allowed | np.eye(len(allowed), k=1, dtype=bool))


def wide_eps(x: Array, scale: Array, shift: Array, eps: float) -> Array:
    return LAYER_NORM(x, scale, shift, 1e-6)


def eps_hat(opt: Optimizer, p: Array, g: Array, own: Any, t: int, decay: bool) -> Any:
    """Keras's: ε before the bias correction."""
    return ADAM(replace(opt, eps=opt.eps / math.sqrt(1 - opt.beta2**t)), p, g, own, t, decay)


def decay_coupled(opt: Optimizer, p: Array, g: Array, own: Any, t: int, decay: bool) -> Any:
    return ADAM(opt, p, g + opt.weight_decay * p if decay else g, own, t, False)


def decay_everywhere(opt: Optimizer, p: Array, g: Array, own: Any, t: int, decay: bool) -> Any:
    return ADAM(opt, p, g, own, t, opt.kind == "adamw")


def eps_in_root(opt: Optimizer, p: Array, g: Array, own: Any, t: int, decay: bool) -> Any:
    """Optax's and Keras's: sqrt(v + ε)."""
    new = RMSPROP(opt, p, g, own, t, decay)[1]
    new["mom"] = opt.momentum * own["mom"] + g / np.sqrt(new["v"] + opt.eps)
    return p - optimizers.rate(opt, t) * new["mom"], new


def old_momentum(opt: Optimizer, p: Array, g: Array, own: Any, t: int, decay: bool) -> Any:
    """Nesterov's step with the momentum from before."""
    direction = g + opt.momentum * own["mom"]
    return p - optimizers.rate(opt, t) * direction, SGD(opt, p, g, own, t, decay)[1]


def softened(opt: Optimizer, grads: dict[str, Array]) -> dict[str, Array]:
    """PyTorch's: 1e-6 added to the norm."""
    return {name: g * min(opt.clip / (optimizers.global_norm(grads) + 1e-6), 1.0) for name, g in grads.items()}


def late(opt: Optimizer, t: int) -> float:
    """The schedule counts updates from 0."""
    return RATE(opt, t - 1)


RATE = optimizers.rate

MISTAKES: dict[str, tuple[str, Any, str, Callable[..., Any]]] = {  # case, module, name in it, what stands there
    "kernel unflipped": ("autoencoder", layers, "conv_t", unflipped),
    "padding shifted": ("gan", layers, "pad_before", shifted),
    "running variance unbiased": ("gan", layers, "batch_norm", unbiased),
    "batch norm's ε a millionth off": ("gan", layers, "batch_norm", other_eps),
    "one norm group": ("gan-d_norm-groups", layers, "batch_norm", ungrouped),
    "leaky relu's gradient at 0": ("gan-kink", layers, "leaky_relu", steep_at_0),
    "relu's gradient at 0": ("autoencoder-kink", layers, "relu", open_at_0),
    "mask one off": ("lm", layers, "softmax", peeking),
    "layer norm's ε": ("lm", layers, "layer_norm", wide_eps),
    "Adam's ε": ("adam", optimizers, "adam", eps_hat),
    "decay coupled": ("adamw", optimizers, "adam", decay_coupled),
    "decay on biases": ("adamw", optimizers, "adam", decay_everywhere),
    "ε inside the root": ("rmsprop", optimizers, "rmsprop", eps_in_root),
    "Nesterov with the old momentum": ("sgd-nesterov", optimizers, "sgd", old_momentum),
    "norm softened": ("sgd+clip+cosine", optimizers, "clipped", softened),
    "schedule one late": ("adam+clip+cosine", optimizers, "rate", late),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(mistake: str, trained: Callable[[str], States], monkeypatch: pytest.MonkeyPatch) -> None:
    name, module, attribute, wrong = MISTAKES[mistake]
    monkeypatch.setattr(module, attribute, wrong)
    assert beyond(CASES[name], train(CASES[name]), trained(INSTALLED[0])[name])
