"""Layers as the workloads state them: functions of the parameters by the spec's names, a layer's name, its input.

Shapes: B batch, I and O features or channels in and out, F features or channels, G norm groups, H and W image
sides, D the last axis, whatever it is. Images are NHWC, kernels HWIO.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from bench.spec import Conv

Params = Mapping[str, Array]
Stats = dict[str, tuple[Array, Array]]  # running mean_GF and var_GF by the name of the norm

LAYOUT = ("NHWC", "HWIO", "NHWC")
TRANSPOSED = "dilated image; both gradients by the plain convolution"


def dense(params: Params, name: str, x_BI: Array) -> Array:
    """y_BO = x_BI · w + b, with any number of axes in the place of B."""
    y_BO: Array = _matmul(x_BI, params[f"{name}.w"])
    return y_BO + params[f"{name}.b"] if f"{name}.b" in params else y_BO


@jax.custom_vjp
def _matmul(x_BI: Array, w_IO: Array) -> Array:
    return x_BI @ w_IO


def _matmul_forward(x_BI: Array, w_IO: Array) -> tuple[Array, tuple[Array, Array]]:
    return x_BI @ w_IO, (x_BI, w_IO)


def _matmul_backward(inputs: tuple[Array, Array], dy_BO: Array) -> tuple[Array, Array]:
    """The gradient to w as it lies: JAX's rule makes its transpose, and XLA is 2.8 times as slow in that on a CPU."""
    x_BI, w_IO = inputs
    x_MI, dy_MO = (x.reshape(-1, x.shape[-1]) for x in (x_BI, dy_BO))
    return dy_BO @ w_IO.T, x_MI.T @ dy_MO


_matmul.defvjp(_matmul_forward, _matmul_backward)


def images(x_BF: Array, side: int) -> Array:
    """Features in the order H, W, C as images."""
    return x_BF.reshape(len(x_BF), side, side, -1)


def features(x_BHWC: Array) -> Array:
    """Images as features in the order H, W, C."""
    return x_BHWC.reshape(len(x_BHWC), -1)


def conv(params: Params, spec: Conv, x_BHWI: Array) -> Array:
    """The convolution or transposed convolution that `spec` describes, with its bias if it has one."""
    convolve = _conv_transposed if spec.transposed else _conv
    y_BHWO: Array = convolve(x_BHWI, params[f"{spec.name}.w"], spec)
    return y_BHWO + params[f"{spec.name}.b"] if f"{spec.name}.b" in params else y_BHWO


def _conv(x_BHWI: Array, w_HWIO: Array, spec: Conv) -> Array:
    padding = [(spec.pad_before, spec.pad_after)] * 2
    return lax.conv_general_dilated(x_BHWI, w_HWIO, (spec.stride,) * 2, padding, dimension_numbers=LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv_transposed(x_BHWI: Array, w_HWIO: Array, spec: Conv) -> Array:
    """A convolution of the image, zeros between its pixels, with the flipped kernel."""
    before, after = spec.kernel - 1 - spec.pad_before, spec.kernel - 1 - spec.pad_after
    return lax.conv_general_dilated(
        x_BHWI, w_HWIO[::-1, ::-1], (1, 1), [(before, after)] * 2, lhs_dilation=(spec.stride,) * 2,
        dimension_numbers=LAYOUT,
    )  # fmt: skip


def _conv_transposed_forward(x_BHWI: Array, w_HWIO: Array, spec: Conv) -> tuple[Array, tuple[Array, Array]]:
    return _conv_transposed(x_BHWI, w_HWIO, spec), (x_BHWI, w_HWIO)


def _conv_transposed_backward(spec: Conv, inputs: tuple[Array, Array], dy_BHWO: Array) -> tuple[Array, Array]:
    """Both gradients by the convolution that this one is the transpose of.

    The gradient to the input is that convolution of dy; the one to the kernel is that convolution's own, x in the
    place of its output's gradient. JAX's rule for the kernel works on the image with zeros in it: 20 times slower.
    """
    x_BHWI, w_HWIO = inputs
    dx_BHWI, pull = jax.vjp(lambda w_HWOI: _conv(dy_BHWO, w_HWOI, spec), w_HWIO.swapaxes(2, 3))
    return dx_BHWI, pull(x_BHWI)[0].swapaxes(2, 3)


_conv_transposed.defvjp(_conv_transposed_forward, _conv_transposed_backward)


def batch_norm(
    params: Params, name: str, x: Array, stats: Stats, *, groups: int, momentum: float, eps: float
) -> tuple[Array, Stats]:
    """Normalised over each group of consecutive samples, and over H and W; x is BF or BHWF. Updates the statistics."""
    # On a CPU XLA takes Σ x·y beside a group axis of 1 for a batch of matrix products: 25 times slower. No such axis.
    x_GNF = x.reshape((groups, -1, x.shape[-1]) if groups > 1 else (-1, x.shape[-1]))
    mean_G1F = x_GNF.mean(-2, keepdims=True)
    centred_GNF = x_GNF - mean_G1F
    var_G1F = jnp.square(centred_GNF).mean(-2, keepdims=True)
    y_GNF = centred_GNF * (params[f"{name}.scale"] / jnp.sqrt(var_G1F + eps)) + params[f"{name}.shift"]
    mean_GF, var_GF = (
        momentum * running_GF + (1 - momentum) * now_G1F.reshape(running_GF.shape)
        for running_GF, now_G1F in zip(stats[name], (mean_G1F, var_G1F), strict=True)
    )
    return y_GNF.reshape(x.shape), stats | {name: (mean_GF, var_GF)}


def layer_norm(params: Params, name: str, x_BD: Array, eps: float) -> Array:
    """Normalised over the last axis, with any number of axes in the place of B."""
    centred_BD = x_BD - x_BD.mean(-1, keepdims=True)
    var_B1 = jnp.square(centred_BD).mean(-1, keepdims=True)
    return centred_BD / jnp.sqrt(var_B1 + eps) * params[f"{name}.scale"] + params[f"{name}.shift"]


def leaky_relu(x: Array, leak: float) -> Array:
    return jnp.where(x > 0, x, leak * x)
