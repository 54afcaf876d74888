"""Layers as the workloads state them: functions of the parameters by the spec's names, a layer's name, its input.

Shapes: B batch, I and O features or channels in and out, F features or channels, G norm groups, M samples and
positions of a group, H and W image sides. Images are NHWC.

A product rounds its inputs to the type of products; what comes next widens its result to the stored type, unless it is
exact or rounds but once in the narrow one. Where the two types are one no cast is an operation.

Gradients are written out in closed form where that takes fewer passes over memory than what the tape makes of
the forward pass: a graph on a CPU runs operator by operator, each reading and writing whole tensors.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from numpy.typing import NDArray

from bench import precision
from bench.spec import Conv, Request

from .convolutions import Gradient, convolve, convolve_transposed

Arrays = Mapping[str, NDArray[Any]]  # by the spec's names
Params = Mapping[str, tf.Tensor]


class Forms(NamedTuple):
    """How operations are written that have more than one form, and in which types."""

    product: tf.DType  # of a product's inputs
    stored: tf.DType  # of everything else
    phases: bool  # transposed convolutions to few channels
    fused_norm: bool  # batch norm by TensorFlow's kernel, which knows no float64
    sum_by_product: bool  # long sums as a product with ones
    select: bool  # leaky relu by a choice, not by a slope
    apart: float  # elements of a parameter that is kept apart: XLA copies parts of a vector where a graph views them


def choose(request: Request) -> Forms:
    """The forms that were measured fastest: oneDNN, which a graph runs on, and XLA differ in what they are good at."""
    cell = request.cell
    graph = cell.variant == "graph"
    fused = graph and cell.kernels == "best" and cell.precision != "fp64" and cell.groups_per_device == 1
    return Forms(
        product=tf.as_dtype(precision.product(cell.precision)),
        stored=tf.as_dtype(precision.stored(cell.precision)),
        phases=graph,
        fused_norm=fused,
        sum_by_product=not graph,
        select=not graph,
        apart=math.inf if graph else 1 << 16,
    )


def number(value: float, like: tf.Tensor) -> tf.Tensor:
    """A constant; made directly, as a cast would bring float32's rounding into float64."""
    return tf.constant(value, like.dtype)


def total(forms: Forms, x: tf.Tensor) -> tf.Tensor:
    """Sum of all elements. XLA on a CPU adds one after another: in float32 2e-6 off over the error of a tiny batch."""
    if not forms.sum_by_product:
        return tf.reduce_sum(x)
    x_BF = tf.reshape(x, (x.shape[0], -1))
    return tf.reduce_sum(tf.linalg.matvec(x_BF, tf.ones(x_BF.shape[1], x.dtype)))


def dense(params: Params, forms: Forms, name: str, x_BI: tf.Tensor) -> tf.Tensor:
    """y_BO = x_BI · w + b."""
    return _add_bias(params, name, tf.matmul(*narrow(forms, x_BI, params[f"{name}.w"])))


def conv(params: Params, forms: Forms, spec: Conv, x_BHWI: tf.Tensor) -> tf.Tensor:
    """The convolution or transposed convolution that `spec` describes, with its bias if it has one."""
    product = convolve_transposed if spec.transposed else convolve
    x_BHWI, w_HWLS = narrow(forms, x_BHWI, params[f"{spec.name}.w"])
    return _add_bias(params, spec.name, product(x_BHWI, w_HWLS, spec, forms.phases))


def narrow(forms: Forms, *inputs: tf.Tensor) -> list[tf.Tensor]:
    """The inputs of a product, rounded to its type; the gradient to a weight is widened again."""
    return [tf.cast(x, forms.product) for x in inputs]


def wide(forms: Forms, x: tf.Tensor) -> tf.Tensor:
    """The result of a product, in the type that functions of an element, sums and losses are computed in."""
    return tf.cast(x, forms.stored)


def rounded(forms: Forms, x: tf.Tensor) -> tf.Tensor:
    """What an element-wise function gives, rounded to the type of products, where no product comes after it."""
    return wide(forms, tf.cast(x, forms.product))


def _add_bias(params: Params, name: str, y: tf.Tensor) -> tf.Tensor:
    """In the product's type, which oneDNN takes into the product before it; the gradient is summed in the bias's."""

    @tf.custom_gradient
    def biased(y: tf.Tensor, bias_O: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return dy, tf.raw_ops.BiasAddGrad(out_backprop=tf.cast(dy, bias_O.dtype))

        return tf.nn.bias_add(y, tf.cast(bias_O, y.dtype)), gradient

    return biased(y, params[f"{name}.b"]) if f"{name}.b" in params else y


def swapped_kernels(convs: tuple[Conv, ...]) -> list[str]:
    """Names of the kernels that are kept as (H, W, out, in), as TensorFlow's transposed convolution takes them."""
    return [f"{spec.name}.w" for spec in convs if spec.transposed]


def batch_norm(
    params: Params, forms: Forms, name: str, x: tf.Tensor, groups: int, eps: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Normalised over each group of consecutive samples, and over H and W; x is BF or BHWF.

    Also returns the statistics_GF of the groups: F means, then F biased variances.
    """
    if forms.fused_norm:
        return _batch_norm_fused(params, name, x, eps)

    @tf.custom_gradient
    def normalise(
        x_GMF: tf.Tensor, scale_F: tf.Tensor, shift_F: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, tf.Tensor], Gradient]:
        mean_G1F = tf.reduce_mean(x_GMF, 1, keepdims=True)
        centred_GMF = x_GMF - mean_G1F
        var_G1F = tf.reduce_mean(tf.square(centred_GMF), 1, keepdims=True)
        inverse_G1F = tf.math.rsqrt(var_G1F + number(eps, x_GMF))
        slope_G1F = inverse_G1F * scale_F

        def gradient(dy_GMF: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dshift_G1F = tf.reduce_sum(dy_GMF, 1, keepdims=True)
            dscale_G1F = tf.reduce_sum(dy_GMF * centred_GMF, 1, keepdims=True) * inverse_G1F
            share = number(1.0 / x_GMF.shape[1], x_GMF)
            towards_mean_GMF = centred_GMF * (dscale_G1F * inverse_G1F * share) + dshift_G1F * share
            dx_GMF = (dy_GMF - towards_mean_GMF) * slope_G1F
            return dx_GMF, tf.reduce_sum(dscale_G1F, (0, 1)), tf.reduce_sum(dshift_G1F, (0, 1))

        return (centred_GMF * slope_G1F + shift_F, tf.concat((mean_G1F, var_G1F), 2)[:, 0]), gradient

    x_GMF = tf.reshape(wide(forms, x), (groups, -1, x.shape[-1]))
    y_GMF, statistics_GF = normalise(x_GMF, params[f"{name}.scale"], params[f"{name}.shift"])
    return tf.reshape(tf.cast(y_GMF, x.dtype), x.shape), statistics_GF


def _batch_norm_fused(params: Params, name: str, x: tf.Tensor, eps: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The same by TensorFlow's kernel, which knows no groups; the variance that it returns is the unbiased one."""
    features = x.shape[-1]
    y, mean_F, var_F, *_ = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(x, (x.shape[0], -1, 1, features)), scale=params[f"{name}.scale"], offset=params[f"{name}.shift"],
        mean=tf.zeros(0), variance=tf.zeros(0), epsilon=eps, is_training=True,
    )  # fmt: skip
    count = x.shape.num_elements() // features
    return tf.reshape(y, x.shape), tf.concat((mean_F, var_F * ((count - 1) / count)), 0)[tf.newaxis]


def layer_norm(params: Params, name: str, x_BF: tf.Tensor, eps: float) -> tf.Tensor:
    """Normalised over the last axis; the product that takes it rounds it."""

    @tf.custom_gradient
    def normalise(x_BF: tf.Tensor, scale_F: tf.Tensor, shift_F: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        centred_BF = x_BF - tf.reduce_mean(x_BF, 1, keepdims=True)
        var_B1 = tf.reduce_mean(tf.square(centred_BF), 1, keepdims=True)
        inverse_B1 = tf.math.rsqrt(var_B1 + number(eps, x_BF))
        unit_BF = centred_BF * inverse_B1

        def gradient(dy_BF: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dscale_BF, dunit_BF = dy_BF * unit_BF, dy_BF * scale_F
            mean_B1 = tf.reduce_mean(dunit_BF, 1, keepdims=True)
            slope_B1 = tf.reduce_mean(dscale_BF * scale_F, 1, keepdims=True)
            dx_BF = (dunit_BF - (unit_BF * slope_B1 + mean_B1)) * inverse_B1
            return dx_BF, tf.reduce_sum(dscale_BF, 0), tf.reduce_sum(dy_BF, 0)

        return unit_BF * scale_F + shift_F, gradient

    return normalise(x_BF, params[f"{name}.scale"], params[f"{name}.shift"])


def leaky_relu(forms: Forms, x: tf.Tensor, leak: float) -> tf.Tensor:
    """Slope 1 above 0 and `leak` elsewhere, so that the gradient at 0 is the leak.

    In a graph the slope as a tensor is cheaper than `tf.where`, whose scalars are spread out element by element.
    Taken as max(x, leak·x), TensorFlow's graph optimiser finds a leaky relu to fuse, and fails.
    """
    x = wide(forms, x)
    if forms.select:
        return tf.where(x > 0, x, x * number(leak, x))
    return x * tf.stop_gradient(tf.maximum(tf.sign(x), number(leak, x)))


@tf.custom_gradient
def gelu(x: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """0.5·x·(1 + tanh(a·x + b·x³)), a = sqrt(2/π), b = 0.044715·a."""
    a = math.sqrt(2.0 / math.pi)
    b = 0.044715 * a
    square = tf.square(x)
    tanh = tf.tanh(x * (square * number(b, x) + number(a, x)))
    share = tanh * number(0.5, x) + number(0.5, x)

    def gradient(dy: tf.Tensor) -> tf.Tensor:
        dshare = tf.raw_ops.TanhGrad(y=tanh, dy=dy * x)  # twice of it
        return dy * share + dshare * (square * number(1.5 * b, x) + number(0.5 * a, x))

    return x * share, gradient
