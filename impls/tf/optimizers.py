"""Adam and AdamW as `bench.spec.Optimizer` states them, over parameters that lie side by side in long vectors.

One kernel updates a whole vector: for the tiny networks on a CPU that takes two fifths of the time of a kernel
for each parameter, for large ones the same. Shapes: N elements of a vector.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bench.optimizer import Optimizer
from bench.spec import Param

Tensors = Mapping[str, tf.Tensor]  # by the spec's names

# Elements. A parameter that starts and ends on 64 bytes is a view of the vector, any other is copied each step.
ALIGNMENT = 16


class Slice(NamedTuple):
    """Where a parameter lies in its vector."""

    start: int
    size: int
    shape: tuple[int, ...]  # as it is kept
    swapped: bool  # kept with its last two axes swapped against the spec's layout


class Vector(NamedTuple):
    """Parameters that are updated alike, and their slots."""

    slices: dict[str, Slice]
    p_N: tf.Variable
    m_N: tf.Variable
    v_N: tf.Variable
    weight_decay: float


class Adam(NamedTuple):
    """An optimizer with all that it updates."""

    numbers: Optimizer
    vectors: tuple[Vector, ...]
    step: tf.Variable  # int64, updates done


def build(
    optimizer: Optimizer,
    params: Mapping[str, NDArray[Any]],
    specs: Mapping[str, Param],
    swapped: Iterable[str] = (),
) -> Adam:
    """The optimizer with `params` on the device, those named in `swapped` kept with their last two axes swapped."""
    decayed = [name for name in params if optimizer.weight_decay and specs[name].decay]
    others = [name for name in params if name not in decayed]
    vectors = tuple(
        _vector({name: params[name] for name in names}, frozenset(swapped), decay)
        for names, decay in ((decayed, optimizer.weight_decay), (others, 0.0))
        if names
    )
    return Adam(optimizer, vectors, tf.Variable(0, dtype=tf.int64))


def _vector(params: Mapping[str, NDArray[Any]], swapped: frozenset[str], weight_decay: float) -> Vector:
    slices: dict[str, Slice] = {}
    parts: list[NDArray[Any]] = []
    end = 0
    for name, array in params.items():
        kept = array.swapaxes(-1, -2) if name in swapped else array
        slices[name] = Slice(end, kept.size, kept.shape, name in swapped)
        parts += [kept.ravel(), np.zeros(_gap(kept.size), kept.dtype)]
        end += kept.size + _gap(kept.size)
    p_N = np.concatenate(parts)
    return Vector(slices, *(tf.Variable(x_N) for x_N in (p_N, np.zeros_like(p_N), np.zeros_like(p_N))), weight_decay)


def _gap(size: int) -> int:
    """Elements from the end of a parameter to the start of the next."""
    return -size % ALIGNMENT


def weights(adam: Adam) -> dict[str, tf.Tensor]:
    """The parameters as they are now, in the shapes they are kept in."""
    return {name: tensor for vector in adam.vectors for name, tensor in _pieces(vector).items()}


def _pieces(vector: Vector) -> dict[str, tf.Tensor]:
    lengths = [length for cut in vector.slices.values() for length in (cut.size, _gap(cut.size))]
    pieces = tf.split(vector.p_N.read_value(), lengths)[::2]
    return {name: tf.reshape(x_N, cut.shape) for (name, cut), x_N in zip(vector.slices.items(), pieces, strict=True)}


def update(adam: Adam, gradients: Tensors) -> None:
    """One step.

    `ResourceApplyAdam` computes p ← p − α·m / (sqrt(v) + ε′). With α = lr·sqrt(1 − β₂ᵗ) / (1 − β₁ᵗ) and
    ε′ = ε·sqrt(1 − β₂ᵗ) that is the spec's formula; its own bias correction is 1 for powers of β that are 0.
    """
    numbers, dtype = adam.numbers, adam.vectors[0].p_N.dtype
    # The kernel's 1 − β is that of β as `dtype` holds it. So is the one here, or in float32 v̂ would be 1e-5 off.
    beta1, beta2 = (float(dtype.as_numpy_dtype(beta)) for beta in (numbers.beta1, numbers.beta2))
    t = tf.cast(adam.step.assign_add(1), tf.float64)
    correction1, correction2 = tf.unstack(-tf.math.expm1(t * tf.constant([math.log(beta1), math.log(beta2)], t.dtype)))
    root = tf.sqrt(correction2)
    rate, eps = tf.constant(numbers.lr, t.dtype) * root / correction1, tf.constant(numbers.eps, t.dtype) * root
    for vector in adam.vectors:
        if vector.weight_decay:
            vector.p_N.assign(vector.p_N * tf.constant(1.0 - numbers.lr * vector.weight_decay, dtype))
        tf.raw_ops.ResourceApplyAdam(
            var=vector.p_N.handle, m=vector.m_N.handle, v=vector.v_N.handle, grad=_joined(vector, gradients),
            beta1_power=tf.constant(0, dtype), beta2_power=tf.constant(0, dtype), lr=tf.cast(rate, dtype),
            beta1=tf.constant(beta1, dtype), beta2=tf.constant(beta2, dtype), epsilon=tf.cast(eps, dtype),
        )  # fmt: skip


def _joined(vector: Vector, gradients: Tensors) -> tf.Tensor:
    """Gradients laid out as the vector is, with zeros in the gaps."""
    parts: list[tf.Tensor] = []
    for name, cut in vector.slices.items():
        parts.append(tf.reshape(gradients[name], [-1]))
        if _gap(cut.size):
            parts.append(tf.zeros(_gap(cut.size), vector.p_N.dtype))
    return tf.concat(parts, 0)


def export(adams: Iterable[Adam], names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Parameters `<param>` and slots `<slot>/<param>` in the spec's layout, all without `names`."""
    places = {
        prefix + name: (variable, cut)
        for adam in adams
        for vector in adam.vectors
        for prefix, variable in (("", vector.p_N), ("m/", vector.m_N), ("v/", vector.v_N))
        for name, cut in vector.slices.items()
    }
    return {name: _read(*places[name]) for name in (places if names is None else names)}


def _read(x_N: tf.Variable, cut: Slice) -> NDArray[Any]:
    array = x_N[cut.start : cut.start + cut.size].numpy().reshape(cut.shape)
    return np.array(array.swapaxes(-1, -2) if cut.swapped else array, order="C")
