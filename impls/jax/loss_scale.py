"""The loss scale of float16 as `bench.precision` states it, one for each optimizer; in other precisions there is none.

It stays on the device: an update that must not happen is computed, and the old values are kept.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from bench import precision


class Scaled(NamedTuple):
    """What an optimizer keeps from one update to the next."""

    slots: optax.OptState
    scale: Array  # a power of two: to multiply by it and to divide by it is exact
    good: Array  # updates that happened since the scale last changed
    skipped: Array  # updates that did not happen, since the start


def init(first_scale: float, inner: Callable[[Any], optax.OptState], params: Any) -> Scaled:
    """The slots that `inner` begins with, and the first scale."""
    scale = jnp.array(first_scale, jnp.float32)
    return Scaled(inner(params), scale, good=jnp.array(0), skipped=jnp.array(0))


def value_and_grad(loss: Callable[[Any], Any], slots: Scaled, has_aux: bool = False) -> Callable[[Any], Any]:
    """As `jax.value_and_grad`, the gradients being those of the loss times its scale."""

    def evaluate(params: Any) -> tuple[Any, Any]:
        value, pull, *aux = jax.vjp(loss, params, has_aux=has_aux)
        return (value, *aux) if has_aux else value, pull(slots.scale)[0]

    return evaluate


def apply(inner: Callable[..., tuple[Any, Any]], grads: Any, slots: Scaled, params: Any) -> tuple[Any, Scaled]:
    """Parameters and slots after `inner`'s update if all gradients are finite, else as they were; the next scale."""
    happens = jnp.stack([jnp.isfinite(grad).all() for grad in jax.tree.leaves(grads)]).all()
    new = inner(jax.tree.map(lambda grad: grad / slots.scale, grads), slots.slots, params)
    params, kept = jax.tree.map(partial(jnp.where, happens), new, (params, slots.slots))
    good = jnp.where(happens, slots.good + 1, 0)
    grows = good == precision.GROWTH_INTERVAL
    factor = jnp.where(happens, jnp.where(grows, precision.GROWTH, 1.0), precision.BACKOFF)
    return params, Scaled(kept, slots.scale * factor, jnp.where(grows, 0, good), slots.skipped + ~happens)


def skipped(*all_slots: Any) -> dict[str, Array]:
    """The losses' companion: how many updates did not happen so far; nothing where there is no scale."""
    counts = [slots.skipped for slots in all_slots if isinstance(slots, Scaled)]
    return {"skipped": sum(counts)} if counts else {}
