"""The loss scale of float16 as `bench.precision` states it, one for each optimizer; in other precisions there is none.

It stays on the device: an update that must not happen is one at a rate of 0 whose gradients are 0 and whose slots keep
all of what they hold, so that nothing has to be decided by the host. Shapes: N elements of a vector.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from bench import precision
from bench.spec import Request


class Scaling(NamedTuple):
    """What is kept from one update to the next."""

    scale: tf.Variable  # s, a power of two: to multiply with it and to divide by it is exact
    good: tf.Variable  # updates that happened since the scale last changed
    skipped: tf.Variable  # updates that did not happen, since the start


def build(request: Request) -> Scaling | None:
    """The scale of a precision, if it has one."""
    if request.cell.precision != "fp16":
        return None
    counts = [tf.Variable(0, dtype=tf.int64) for _ in range(2)]
    return Scaling(tf.Variable(request.first_scale, dtype=tf.float32), *counts)


def of_loss(scaling: Scaling | None) -> tf.Tensor | None:
    """What the gradient of a loss is multiplied with, as a tape takes it."""
    return None if scaling is None else scaling.scale.read_value()


def skipped(*scalings: Scaling | None) -> dict[str, tf.Tensor]:
    """The loss's companion: how many updates did not happen so far."""
    counts = [scaling.skipped.read_value() for scaling in scalings if scaling is not None]
    return {"skipped": tf.add_n(counts)} if counts else {}


def unscale(scaling: Scaling, all_N: list[tf.Tensor]) -> tuple[list[tf.Tensor], Callable[[tf.Tensor, Any], tf.Tensor]]:
    """Gradients divided by the scale, and the choice between a number if the update happens and another if not.

    Where it does not happen the gradients are 0.
    """
    happens = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g_N)) for g_N in all_N])
    share = tf.where(happens, 1.0 / scaling.scale, 0.0)
    unscaled_N = [tf.math.multiply_no_nan(g_N, share) for g_N in all_N]
    _follow(scaling, happens)
    return unscaled_N, partial(tf.where, happens)


def _follow(scaling: Scaling, happens: tf.Tensor) -> None:
    """The scale for the next update."""
    good = tf.where(happens, scaling.good + 1, 0)
    grows = tf.equal(good, precision.GROWTH_INTERVAL)
    factor = tf.where(happens, tf.where(grows, precision.GROWTH, 1.0), precision.BACKOFF)
    scaling.scale.assign(scaling.scale * factor)
    scaling.good.assign(tf.where(grows, tf.zeros_like(good), good))
    scaling.skipped.assign_add(tf.cast(tf.logical_not(happens), tf.int64))
