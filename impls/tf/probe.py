"""The three products of the layers on their own, for the probes that find their effective precision.

Shapes: B batch, I and O features in and out; images NHWC, kernels HWIO.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bench.spec import Conv, Request

from . import layers

Array = NDArray[np.float64]
Product = Callable[[Array, Array, Array], tuple[Array, Array, Array]]


def products(request: Request, conv: Conv, transposed: Conv) -> dict[str, Product]:
    """For each kind (x, w, dy) -> (y, dx, dw): what the layers compute under the request, without a bias."""
    forms = layers.choose(request)
    swapped = layers.swapped_kernels((conv, transposed))

    def run(name: str, layer: Callable[[layers.Params, tf.Tensor], tf.Tensor]) -> Product:
        @tf.function(autograph=False, jit_compile=request.cell.variant == "xla")
        def derive(x: tf.Tensor, w: tf.Tensor, dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch((x, w))
                y = layer({f"{name}.w": w}, x)
            return y, *tape.gradient(y, (x, w), tf.cast(dy, y.dtype))

        def product(x: Array, w: Array, dy: Array) -> tuple[Array, Array, Array]:
            turn = partial(np.swapaxes, axis1=-1, axis2=-2) if f"{name}.w" in swapped else np.asarray
            y, dx, dw = derive(*(tf.constant(array, forms.stored) for array in (x, turn(w), dy)))
            return double(y), double(dx), turn(double(dw))

        return product

    return {
        "matmul": run("matmul", lambda params, x_BI: layers.dense(params, forms, "matmul", x_BI)),
        "conv": run(conv.name, lambda params, x_BHWI: layers.conv(params, forms, conv, x_BHWI)),
        "transposed": run(transposed.name, lambda params, x_BHWI: layers.conv(params, forms, transposed, x_BHWI)),
    }


def double(x: tf.Tensor) -> Array:
    return tf.cast(x, tf.float64).numpy()
