"""The two convolutions, each with its gradients: both are products, of whatever type their inputs have.

Shapes: B batch, H and W image sides; L and S are the channels of the larger and of the smaller image that a
convolution joins. Images are NHWC.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bench.spec import Conv

Gradient = Callable[..., Any]

VECTOR = 16  # float32 numbers in the widest vector of a processor


# Each of the two convolutions is the transpose of the other, and so is its gradient with respect to its input.
# Kernels are (H, W, L, S) in both.


def convolve(x_BHWL: tf.Tensor, w_HWLS: tf.Tensor, spec: Conv, phases: bool) -> tf.Tensor:
    @tf.custom_gradient
    def product(x_BHWL: tf.Tensor, w_HWLS: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def gradient(dy_BHWS: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _spread(dy_BHWS, w_HWLS, spec, phases), _kernel_gradient(x_BHWL, dy_BHWS, w_HWLS, spec)

        return _correlate(x_BHWL, w_HWLS, spec), gradient

    return product(x_BHWL, w_HWLS)


def convolve_transposed(x_BHWS: tf.Tensor, w_HWLS: tf.Tensor, spec: Conv, phases: bool) -> tf.Tensor:
    @tf.custom_gradient
    def product(x_BHWS: tf.Tensor, w_HWLS: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def gradient(dy_BHWL: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _correlate(dy_BHWL, w_HWLS, spec), _kernel_gradient(dy_BHWL, x_BHWS, w_HWLS, spec)

        return _spread(x_BHWS, w_HWLS, spec, phases), gradient

    return product(x_BHWS, w_HWLS)


def _correlate(x_BHWL: tf.Tensor, w_HWLS: tf.Tensor, spec: Conv) -> tf.Tensor:
    """From the large image to the small one: y[o] = Σ_k x[o·stride + k − pad_before] · w[k] per axis."""
    return tf.nn.conv2d(x_BHWL, w_HWLS, spec.stride, "SAME")


def _kernel_gradient(x_BHWL: tf.Tensor, y_BHWS: tf.Tensor, w_HWLS: tf.Tensor, spec: Conv) -> tf.Tensor:
    strides = (1, spec.stride, spec.stride, 1)
    return tf.raw_ops.Conv2DBackpropFilter(
        input=x_BHWL, filter_sizes=w_HWLS.shape, out_backprop=y_BHWS, strides=strides, padding="SAME"
    )


def _spread(x_BHWS: tf.Tensor, w_HWLS: tf.Tensor, spec: Conv, phases: bool) -> tf.Tensor:
    """From the small image to the large one: y[i·stride + k − pad_before] += x[i] · w[k] per axis."""
    if phases and spec.stride > 1 and spec.stride**2 * w_HWLS.shape[2] <= VECTOR:
        return _spread_phases(x_BHWS, w_HWLS, spec)
    batch, side, _, _ = x_BHWS.shape
    large = (batch, side * spec.stride, side * spec.stride, w_HWLS.shape[2])
    return tf.nn.conv2d_transpose(x_BHWS, w_HWLS, large, spec.stride, "SAME")


def _spread_phases(x_BHWS: tf.Tensor, w_HWLS: tf.Tensor, spec: Conv) -> tf.Tensor:
    """The same as a convolution that makes the stride·stride phases of the image, held as channels (Shi et al. 2016).

    With zeros before the kernel until its padding is q whole strides, and after it until it has m strides, input i
    reaches outputs stride·(i + j − q) + r, for j < m and r < stride. Twice as fast by oneDNN where L is 1: its
    transposed convolution takes as long for 1 channel as for 16. XLA's does not.
    """
    s, q = spec.stride, -(-spec.pad_before // spec.stride)
    before = q * s - spec.pad_before
    m = -(-(before + spec.kernel) // s)
    edges = (before, m * s - before - spec.kernel)
    large, small = w_HWLS.shape[2:]
    w_jrjrLS = tf.reshape(tf.pad(w_HWLS, (edges, edges, (0, 0), (0, 0))), (m, s, m, s, large, small))
    w_jjSrrL = tf.transpose(tf.reverse(w_jrjrLS, (0, 2)), (0, 2, 5, 1, 3, 4))
    pads = ((0, 0), (m - 1 - q, q), (m - 1 - q, q), (0, 0))
    phases = tf.nn.conv2d(x_BHWS, tf.reshape(w_jjSrrL, (m, m, small, s * s * large)), 1, pads)
    return tf.nn.depth_to_space(phases, s)
