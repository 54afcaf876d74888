"""The products of the workloads' layers on their own, for `bench.probes`.

Shapes: B batch, I and O features or channels in and out, H and W image sides.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bench.spec import Conv, Request

from . import layers

Product = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]


def products(request: Request, conv: Conv, transposed: Conv) -> dict[str, Product]:
    """Functions (x, w, dy) -> (y, dx, dw) of float64 arrays, which compute as the workload does."""
    forms = layers.choose(request)

    def layer(spec: Conv) -> Callable[[Array, Array], Array]:
        return lambda x_BHWI, w_HWIO: layers.conv({f"{spec.name}.w": w_HWIO}, forms, spec, x_BHWI)

    def dense(x_BI: Array, w_IO: Array) -> Array:
        return layers.dense({"matmul.w": w_IO}, forms, "matmul", x_BI)

    found = {"matmul": dense, "conv": layer(conv), "transposed": layer(transposed)}
    return {name: partial(run, jax.jit(partial(gradients, function)), forms) for name, function in found.items()}


def run(
    compute: Callable[..., tuple[Array, Array, Array]], forms: layers.Forms, *arrays: NDArray[Any]
) -> tuple[NDArray[Any], ...]:
    """The results of a layer whose inputs are in the stored type."""
    return tuple(np.asarray(result).astype(float) for result in compute(*(jnp.array(x, forms.stored) for x in arrays)))


def gradients(layer: Callable[[Array, Array], Array], x: Array, w: Array, dy: Array) -> tuple[Array, Array, Array]:
    """Output of a layer without a bias, and what `dy` gives its input and its weights."""
    y, pull = jax.vjp(layer, x, w)
    return y, *pull(dy.astype(y.dtype))
