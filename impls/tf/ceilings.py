"""What the device can do at most, for `bench.ceilings`: a product of matrices, and passes over memory.

Shapes: S the side of a square, N elements.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bench.spec import Request

from . import layers


def product(side: int, request: Request) -> Callable[[], Any]:
    """What dispatches one product of two squares, as a dense layer without a bias computes it."""
    forms = layers.choose(request)
    x_SS, w_SS = (tf.random.stateless_normal((side, side), (0, n), dtype=forms.product) for n in range(2))

    def multiply(x_SS: tf.Tensor, w_SS: tf.Tensor) -> tf.Tensor:
        return layers.dense({"product.w": w_SS}, forms, "product", x_SS)

    run = variant(multiply, request)
    return lambda: run(x_SS, w_SS)


def scaled_copy(bytes_: int, request: Request) -> Callable[[], Any]:
    """What dispatches x ← x · a over so many bytes of the stored type; a is 1, which only the run tells.

    XLA writes where it reads. A graph writes into memory of its own, which the variable then takes over: TensorFlow's
    kernels that write a variable in place all read another tensor of its size.
    """
    kind = layers.choose(request).stored
    x_N = tf.Variable(tf.ones(bytes_ // kind.size, kind))
    a = tf.ones((), kind)

    def scale(a: tf.Tensor) -> None:
        x_N.assign(x_N * a)

    run = variant(scale, request)
    return lambda: run(a)


def variant(function: Callable[..., Any], request: Request) -> Callable[..., Any]:
    """The function as the variant runs a step: as a graph, or compiled by XLA."""
    return tf.function(function, autograph=False, jit_compile=request.cell.variant == "xla")
