"""What the device can do at most, for `bench.ceilings`: a product of matrices, and passes over memory.

Shapes: S the side of a square, N elements.

Each call takes over the memory of the one before it. So they run one after another, none is left out, and waiting for
the last is waiting for all.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bench.spec import Request

from . import layers


def product(side: int, request: Request) -> Callable[[], Any]:
    """What dispatches one product of two squares, as a dense layer without a bias computes it."""
    forms = layers.choose(request)
    keys = jax.random.split(jax.random.key(0))
    x_SS, w_SS = (jax.random.normal(key, (side, side), forms.product) for key in keys)

    def multiply(last_SS: Array, x_SS: Array, w_SS: Array) -> Array:
        del last_SS  # the result takes its place
        return layers.dense({"product.w": w_SS}, forms, "product", x_SS)

    return chained(multiply, jnp.zeros((side, side), forms.product), x_SS, w_SS)


def scaled_copy(bytes_: int, request: Request) -> Callable[[], Any]:
    """What dispatches x ← x · a in place, over so many bytes of the stored type; a is 1, which only the run tells."""
    kind = layers.choose(request).stored
    return chained(lambda x_N, a: x_N * a, jnp.ones(bytes_ // kind.itemsize, kind), jnp.ones((), kind))


def chained(function: Callable[..., Array], first: Array, *others: Array) -> Callable[[], Array]:
    """What dispatches the function on its own last result, at the start on `first`, and on the others."""
    run = partial(jax.jit, donate_argnums=0, keep_unused=True)(function)
    last = first

    def dispatch() -> Array:
        nonlocal last
        last = run(last, *others)
        return last

    return dispatch
