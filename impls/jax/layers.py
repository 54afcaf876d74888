"""Layers as the workloads state them: functions of the parameters by the spec's names, a layer's name, its input.

Shapes: B batch, I and O features or channels in and out, F features or channels, G norm groups, H and W image
sides, D the last axis, M, K, N the axes of a product, S samples and positions. Images are NHWC, kernels HWIO.

A product rounds its inputs to the type of products; everything else is computed in the stored type and rounded to the
type that it came in. Where the two types are one no cast is an operation.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.layout import Layout, with_layout_constraint

from bench import precision
from bench.spec import Cell, Conv, Request

from . import backend

Params = Mapping[str, Array]
Stats = dict[str, tuple[Array, Array]]  # running mean_GF and var_GF by the name of the norm

LAYOUT = ("NHWC", "HWIO", "NHWC")
TRANSPOSED = "dilated image; both gradients by the plain convolution"


class Forms(NamedTuple):
    """In which types operations are computed, and how products are written that have more than one form."""

    product: Any  # type of a product's inputs, and of its result
    stored: Any  # type of everything else
    straight: bool  # matrix products give the stored type, and read operands row by row
    fused_attention: bool  # by cuDNN's kernel, which keeps no scores


def choose(request: Request) -> Forms:
    """The forms that were measured fastest.

    XLA's kernels for bfloat16 on a CPU take matrix products of exactly that form, at twice the speed of float32; others
    it widens.
    """
    cell = request.cell
    types = (jnp.dtype(type_(cell.precision)) for type_ in (precision.product, precision.stored))
    straight = cell.platform == "cpu" and cell.precision == "bf16"
    return Forms(*types, straight=straight, fused_attention=cell.kernels == "best" and has_fused_attention(cell))


def has_fused_attention(cell: Cell) -> bool:
    """Whether cuDNN has attention for a cell: of 16-bit numbers, on NVIDIA's GPUs since Ampere."""
    if cell.platform != "cuda" or cell.precision not in precision.MIXED:
        return False
    return backend.compute_capability() >= 8.0


def dense(params: Params, forms: Forms, name: str, x_BI: Array) -> Array:
    """y_BO = x_BI · w + b, with any number of axes in the place of B."""
    w_IO = params[f"{name}.w"].astype(forms.product)
    y_SO = _matmul(forms, False, x_BI.reshape(-1, x_BI.shape[-1]).astype(forms.product), w_IO)
    return _add_bias(params, name, y_SO.reshape(*x_BI.shape[:-1], -1))


def _add_bias(params: Params, name: str, y: Array) -> Array:
    return (y + params[f"{name}.b"]).astype(y.dtype) if f"{name}.b" in params else y


def matmul(forms: Forms, a_MK: Array, b: Array, turned: bool = False) -> Array:
    """A product of a and b_KN, or, b being turned, b_NK; with any number of axes before both or before a alone."""
    a_MK, b = a_MK.astype(forms.product), b.astype(forms.product)
    if not forms.straight:
        return a_MK @ (b.mT if turned else b)
    rows_MK = a_MK.reshape(-1, a_MK.shape[-1]) if b.ndim == 2 else a_MK
    return _matmul(forms, turned, rows_MK, b).reshape(*a_MK.shape[:-1], -1)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _matmul(forms: Forms, turned: bool, a_MK: Array, b: Array) -> Array:
    return _multiply(forms, a_MK, b.mT if turned else b)


def _matmul_forward(forms: Forms, turned: bool, a_MK: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return _matmul(forms, turned, a_MK, b), (a_MK, b)


def _matmul_backward(forms: Forms, turned: bool, inputs: tuple[Array, Array], dy_MN: Array) -> tuple[Array, Array]:
    """The gradient to b as b lies: JAX's rule makes its transpose, and XLA is 2.8 times as slow in that on a CPU."""
    a_MK, b = inputs
    if turned:
        return _multiply(forms, dy_MN, b), _multiply(forms, dy_MN.mT, a_MK)
    return _multiply(forms, dy_MN, b.mT), _multiply(forms, a_MK.mT, dy_MN)


_matmul.defvjp(_matmul_forward, _matmul_backward)


def _multiply(forms: Forms, a_MK: Array, b_KN: Array) -> Array:
    if not forms.straight:
        return a_MK @ b_KN
    rows = (with_layout_constraint(x, Layout(tuple(range(x.ndim)))) for x in (a_MK, b_KN))
    return jnp.matmul(*rows, preferred_element_type=forms.stored).astype(forms.product)


def images(x_BF: Array, side: int) -> Array:
    """Features in the order H, W, C as images."""
    return x_BF.reshape(len(x_BF), side, side, -1)


def features(x_BHWC: Array) -> Array:
    """Images as features in the order H, W, C."""
    return x_BHWC.reshape(len(x_BHWC), -1)


def conv(params: Params, forms: Forms, spec: Conv, x_BHWI: Array) -> Array:
    """The convolution or transposed convolution that `spec` describes, with its bias if it has one."""
    convolve = _conv_transposed if spec.transposed else _conv
    w_HWIO = params[f"{spec.name}.w"]
    return _add_bias(params, spec.name, convolve(x_BHWI.astype(forms.product), w_HWIO.astype(forms.product), spec))


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
    x_GNF = wide(x).reshape((groups, -1, x.shape[-1]) if groups > 1 else (-1, x.shape[-1]))
    mean_G1F = x_GNF.mean(-2, keepdims=True)
    centred_GNF = x_GNF - mean_G1F
    var_G1F = jnp.square(centred_GNF).mean(-2, keepdims=True)
    y_GNF = centred_GNF * (params[f"{name}.scale"] / jnp.sqrt(var_G1F + eps)) + params[f"{name}.shift"]
    mean_GF, var_GF = (
        momentum * running_GF + (1 - momentum) * now_G1F.reshape(running_GF.shape)
        for running_GF, now_G1F in zip(stats[name], (mean_G1F, var_G1F), strict=True)
    )
    return y_GNF.reshape(x.shape).astype(x.dtype), stats | {name: (mean_GF, var_GF)}


def layer_norm(params: Params, name: str, x_BD: Array, eps: float) -> Array:
    """Normalised over the last axis, with any number of axes in the place of B."""
    centred_BD = x_BD - x_BD.mean(-1, keepdims=True)
    var_B1 = jnp.square(centred_BD).mean(-1, keepdims=True)
    return centred_BD / jnp.sqrt(var_B1 + eps) * params[f"{name}.scale"] + params[f"{name}.shift"]


def leaky_relu(x: Array, leak: float) -> Array:
    return rounded(lambda x: jnp.where(x > 0, x, leak * x), x)


def rounded(function: Callable[[Array], Array], x: Array) -> Array:
    """A function of each element, computed in the stored type and rounded once to the type of x."""
    return function(wide(x)).astype(x.dtype)


def wide(x: Array) -> Array:
    """In the stored type."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
