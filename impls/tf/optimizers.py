"""Optimizers as `bench.optimizer.Optimizer` states them, over parameters that lie side by side in long vectors.

One kernel updates a whole vector: for the tiny networks on a CPU that takes two fifths of the time of a kernel
for each parameter, for large ones the same. Shapes: N elements of a vector.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bench.optimizer import Optimizer
from bench.spec import Param, Request

from . import loss_scale

Tensors = Mapping[str, tf.Tensor]  # by the spec's names
When = Callable[[tf.Tensor, Any], tf.Tensor]  # a number of an update, and what stands for it in one that is skipped

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
    slots: dict[str, tf.Variable]  # by the spec's names, each as long as p_N
    weight_decay: float


class Training(NamedTuple):
    """An optimizer with all that it updates."""

    numbers: Optimizer
    vectors: tuple[Vector, ...]
    step: tf.Variable  # int64, updates done
    scaling: loss_scale.Scaling | None


def build(
    optimizer: Optimizer,
    params: Mapping[str, NDArray[Any]],
    specs: Mapping[str, Param],
    request: Request,
    swapped: Iterable[str] = (),
    apart: float = math.inf,
) -> Training:
    """The optimizer with `params` on the device, those named in `swapped` kept with their last two axes swapped.

    Parameters of at least `apart` elements are no part of a long vector.
    """
    decay = {name: optimizer.weight_decay if specs[name].decay else 0.0 for name in params}
    large = [name for name in params if params[name].size >= apart]
    groups = [[name] for name in large]
    groups += [
        [name for name in params if name not in large and decay[name] == rate] for rate in dict.fromkeys(decay.values())
    ]
    vectors = tuple(
        _vector({name: params[name] for name in names}, frozenset(swapped), optimizer.slots, decay[names[0]])
        for names in groups
        if names
    )
    return Training(optimizer, vectors, tf.Variable(0, dtype=tf.int64), loss_scale.build(request))


def _vector(
    params: Mapping[str, NDArray[Any]], swapped: frozenset[str], slots: Iterable[str], weight_decay: float
) -> Vector:
    slices: dict[str, Slice] = {}
    parts: list[NDArray[Any]] = []
    end = 0
    for name, array in params.items():
        kept = array.swapaxes(-1, -2) if name in swapped else array
        slices[name] = Slice(end, kept.size, kept.shape, name in swapped)
        parts += [kept.ravel(), np.zeros(_gap(kept.size), kept.dtype)]
        end += kept.size + _gap(kept.size)
    p_N = np.concatenate(parts)
    zeros = {slot: tf.Variable(np.zeros_like(p_N)) for slot in slots}
    return Vector(slices, tf.Variable(p_N), zeros, weight_decay)


def _gap(size: int) -> int:
    """Elements from the end of a parameter to the start of the next."""
    return -size % ALIGNMENT


def weights(training: Training) -> dict[str, tf.Tensor]:
    """The parameters as they are now, in the shapes they are kept in."""
    return {name: tensor for vector in training.vectors for name, tensor in _pieces(vector).items()}


def _pieces(vector: Vector) -> dict[str, tf.Tensor]:
    lengths = [length for cut in vector.slices.values() for length in (cut.size, _gap(cut.size))]
    pieces = tf.split(vector.p_N.read_value(), lengths)[::2]
    return {name: tf.reshape(x_N, cut.shape) for (name, cut), x_N in zip(vector.slices.items(), pieces, strict=True)}


def joined(training: Training, gradients: Tensors) -> list[tf.Tensor]:
    """Gradients laid out as the vectors are."""
    return [_joined(vector, gradients) for vector in training.vectors]


def update(training: Training, all_N: list[tf.Tensor]) -> None:
    """One update; where a scale forbids it, one that changes nothing."""
    numbers, when, t = training.numbers, always, training.step + 1
    if training.scaling:
        all_N, when = loss_scale.unscale(training.scaling, all_N)
    training.step.assign(when(t, training.step))
    all_N, rate = _clipped(numbers, all_N), when(_rate(numbers, t), 0.0)
    apply = {"adam": _adam, "adamw": _adam, "rmsprop": _rmsprop, "sgd": _sgd}[numbers.kind]
    for vector, g_N in zip(training.vectors, all_N, strict=True):
        apply(numbers, vector, g_N, rate, t, when)


def always(value: tf.Tensor, otherwise: Any) -> tf.Tensor:
    """What an update takes that is sure to happen."""
    return value


def _joined(vector: Vector, gradients: Tensors) -> tf.Tensor:
    """Gradients laid out as the vector is, with zeros in the gaps."""
    parts: list[tf.Tensor] = []
    for name, cut in vector.slices.items():
        parts.append(tf.reshape(gradients[name], [-1]))
        if _gap(cut.size):
            parts.append(tf.zeros(_gap(cut.size), vector.p_N.dtype))
    return tf.concat(parts, 0)


def _rate(numbers: Optimizer, t: tf.Tensor) -> tf.Tensor:
    """lr_t, float64: one look-up, where the formula would be a dozen operators that each take longer."""
    if not numbers.warmup:
        return tf.constant(numbers.lr, tf.float64)
    rates = np.array([numbers.rate(number) for number in range(1, numbers.total + 1)])
    return tf.gather(rates, tf.minimum(t, numbers.total) - 1)


def _clipped(numbers: Optimizer, all_N: list[tf.Tensor]) -> list[tf.Tensor]:
    """Gradients, scaled so that the norm of all of them together is at most `clip`."""
    if not numbers.clip:
        return all_N
    norm = tf.sqrt(tf.add_n([tf.nn.l2_loss(g_N) for g_N in all_N]) * tf.constant(2, all_N[0].dtype))
    clip = tf.constant(numbers.clip, norm.dtype)
    scale = clip / tf.maximum(norm, clip)
    return [g_N * scale for g_N in all_N]


def _adam(numbers: Optimizer, vector: Vector, g_N: tf.Tensor, rate: tf.Tensor, t: tf.Tensor, when: When) -> None:
    """`ResourceApplyAdam` computes p ← p − α·m / (sqrt(v) + ε′), and its own bias correction is 1 for powers of 0.

    With α = lr_t·sqrt(1 − β₂ᵗ) / (1 − β₁ᵗ) and ε′ = ε·sqrt(1 − β₂ᵗ) that is the spec's formula.
    """
    dtype = g_N.dtype
    # The kernel's 1 − β is that of β as `dtype` holds it. So is the one here, or in float32 v̂ would be 1e-5 off.
    beta1, beta2 = (float(dtype.as_numpy_dtype(beta)) for beta in (numbers.beta1, numbers.beta2))
    logs = tf.constant([math.log(beta1), math.log(beta2)], rate.dtype)
    correction1, correction2 = tf.unstack(-tf.math.expm1(tf.cast(t, rate.dtype) * logs))
    root = tf.sqrt(correction2)
    if vector.weight_decay:
        vector.p_N.assign(vector.p_N * tf.cast(1.0 - rate * tf.constant(vector.weight_decay, rate.dtype), dtype))
    tf.raw_ops.ResourceApplyAdam(
        var=vector.p_N.handle, m=vector.slots["m"].handle, v=vector.slots["v"].handle, grad=g_N,
        beta1_power=tf.constant(0, dtype), beta2_power=tf.constant(0, dtype),
        lr=tf.cast(rate * root / correction1, dtype),
        beta1=when(tf.constant(beta1, dtype), 1.0), beta2=when(tf.constant(beta2, dtype), 1.0),
        epsilon=tf.cast(tf.constant(numbers.eps, rate.dtype) * root, dtype),
    )  # fmt: skip


def _rmsprop(numbers: Optimizer, vector: Vector, g_N: tf.Tensor, rate: tf.Tensor, t: tf.Tensor, when: When) -> None:
    """TensorFlow's kernels have epsilon inside the root and the rate inside the momentum: the root is written out."""
    share = when(tf.constant(1.0 - numbers.smoothing, g_N.dtype), 0.0)
    v_N = vector.slots["v"].assign_add((tf.square(g_N) - vector.slots["v"]) * share)
    if numbers.centered:
        avg_N = vector.slots["avg"].assign_add((g_N - vector.slots["avg"]) * share)
        v_N = v_N - tf.square(avg_N)
    _sgd(numbers, vector, g_N / (tf.sqrt(v_N) + tf.constant(numbers.eps, g_N.dtype)), rate, t, when)


def _sgd(numbers: Optimizer, vector: Vector, g_N: tf.Tensor, rate: tf.Tensor, t: tf.Tensor, when: When) -> None:
    """`ResourceApplyMomentum` is the spec's formula; its Keras form would hold the rate in the momentum."""
    tf.raw_ops.ResourceApplyMomentum(
        var=vector.p_N.handle, accum=vector.slots["mom"].handle, grad=g_N, lr=tf.cast(rate, g_N.dtype),
        momentum=when(tf.constant(numbers.momentum, g_N.dtype), 1.0), use_nesterov=numbers.nesterov,
    )  # fmt: skip


def export(trainings: Iterable[Training], names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Parameters `<param>` and slots `<slot>/<param>` in the spec's layout, all without `names`."""
    places = {
        prefix + name: (variable, cut)
        for training in trainings
        for vector in training.vectors
        for prefix, variable in {"": vector.p_N, **{f"{slot}/": x_N for slot, x_N in vector.slots.items()}}.items()
        for name, cut in vector.slices.items()
    }
    return {name: _read(*places[name]) for name in (places if names is None else names)}


def _read(x_N: tf.Variable, cut: Slice) -> NDArray[Any]:
    array = x_N[cut.start : cut.start + cut.size].numpy().reshape(cut.shape)
    return np.array(array.swapaxes(-1, -2) if cut.swapped else array, order="C")
