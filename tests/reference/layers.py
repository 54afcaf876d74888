"""Layers as the docstrings of `bench.spec.Conv` and `bench.workloads` state them.

Shapes: B batch, H and W image sides, C channels in, O channels out, K side of a kernel, G norm groups, D features.

Everything takes complex arrays, because `derivative` needs it: functions are analytic, comparisons look at the real
part, and nothing takes an absolute value or a conjugate (so not `np.var`, `np.linalg.norm`, `np.vdot`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float64, or complex128 on its way to a derivative


def relu(x: Array) -> Array:
    return np.where(x.real > 0, x, 0.0)


def leaky_relu(x: Array, leak: float) -> Array:
    return np.where(x.real > 0, x, leak * x)


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), the exponent never positive."""
    positive = x.real > 0
    return np.where(positive, x, 0.0) + np.log1p(np.exp(np.where(positive, -x, x)))


def gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x * x * x)))


def softmax(x: Array, allowed: NDArray[np.bool_]) -> Array:
    """Over the last axis, what is not allowed left out."""
    top = np.where(allowed, x.real, -np.inf).max(axis=-1, keepdims=True)
    weight = np.where(allowed, np.exp(np.where(allowed, x - top, 0.0)), 0.0)
    return weight / weight.sum(axis=-1, keepdims=True)


def log_softmax(x: Array) -> Array:
    shifted = x - x.real.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def layer_norm(x_BTD: Array, scale_D: Array, shift_D: Array, eps: float) -> Array:
    centred = x_BTD - x_BTD.mean(axis=-1, keepdims=True)
    var = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(var + eps) * scale_D + shift_D


def batch_norm(x: Array, scale_C: Array, shift_C: Array, eps: float, groups: int) -> tuple[Array, Array, Array]:
    """Over groups of consecutive samples of x (B, …, C), and over H and W where there are any.

    Returns:
        the output, and mean_GC and var_GC of the batch, the variance biased.
    """
    grouped = x.reshape(groups, len(x) // groups, -1, x.shape[-1])
    mean = grouped.mean(axis=(1, 2), keepdims=True)
    centred = grouped - mean
    var = (centred * centred).mean(axis=(1, 2), keepdims=True)
    y = centred / np.sqrt(var + eps) * scale_C + shift_C
    return y.reshape(x.shape), mean[:, 0, 0], var[:, 0, 0]


def pad_before(large: int, small: int, kernel: int, stride: int) -> int:
    return max((small - 1) * stride + kernel - large, 0) // 2


def taps(w_KKCO: Array) -> Iterator[tuple[int, int, Array]]:
    """Each place in a kernel with its matrix (C, O)."""
    for row, matrices in enumerate(w_KKCO):
        for column, matrix in enumerate(matrices):
            yield row, column, matrix


def conv(x_BHWC: Array, w_KKCO: Array, stride: int) -> Array:
    """y[o] = Σ_k x[o·stride + k − pad_before] · w[k] per axis."""
    kernel, before, after = len(w_KKCO), x_BHWC.shape[1], -(-x_BHWC.shape[1] // stride)
    pad, span = pad_before(before, after, kernel, stride), (after - 1) * stride + 1
    framed = np.zeros((len(x_BHWC), *[before + 2 * kernel] * 2, x_BHWC.shape[-1]), x_BHWC.dtype)
    framed[:, pad : pad + before, pad : pad + before] = x_BHWC
    y_BHWO: Any = 0.0
    for row, column, w_CO in taps(w_KKCO):
        y_BHWO = y_BHWO + framed[:, row : row + span : stride, column : column + span : stride] @ w_CO
    return y_BHWO


def conv_t(x_BHWC: Array, w_KKCO: Array, stride: int) -> Array:
    """y[o] = Σ_{i,k: i·stride + k − pad_before = o} x[i] · w[k] per axis."""
    kernel, before, after = len(w_KKCO), x_BHWC.shape[1], x_BHWC.shape[1] * stride
    pad, span = pad_before(after, before, kernel, stride), (before - 1) * stride + 1
    dtype = np.result_type(x_BHWC, w_KKCO)
    framed = np.zeros((len(x_BHWC), *[after + 2 * kernel] * 2, w_KKCO.shape[-1]), dtype)
    for row, column, w_CO in taps(w_KKCO):
        framed[:, row : row + span : stride, column : column + span : stride] += x_BHWC @ w_CO
    return framed[:, pad : pad + after, pad : pad + after]
