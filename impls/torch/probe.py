"""The products of the workloads' layers on their own, for `bench.probes`.

Shapes: T positions, I and O features or channels in and out, B images, H and W their sides.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.precision import stored
from bench.spec import Conv, Request

from . import backend, layers

Array = NDArray[Any]
Product = Callable[[Array, Array, Array], tuple[Array, Array, Array]]
Compute = Callable[[layers.Layer, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class Sequence(layers.Dense):
    """The features as one sequence, as all are in the language model."""

    def forward(self, x_TI: Tensor) -> Tensor:
        return super().forward(x_TI[None])[0]


class Images(layers.Conv):
    """Images as numpy has them."""

    def forward(self, x_BHWI: Tensor) -> Tensor:
        return super().forward(x_BHWI.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def products(request: Request, conv: Conv, transposed: Conv) -> dict[str, Product]:
    """Functions (x, w, dy) -> (y, dx, dw) of float64 arrays, which compute as the workload does."""
    forms = layers.choose(request)
    compute = gradients if request.cell.variant == "eager" else backend.compiled(gradients)
    dense = Sequence if request.cell.workload == "lm" else layers.Dense

    def product(name: str, build: Callable[[layers.Params], layers.Layer]) -> Product:
        return lambda x, w, dy: run(build({f"{name}.w": w}), x, dy, request, compute)

    return {
        "matmul": product("matmul", lambda params: dense(params, "matmul", forms)),
        "conv": product(conv.name, lambda params: Images(params, conv, forms)),
        "transposed": product(transposed.name, lambda params: Images(params, transposed, forms)),
    }


def run(layer: layers.Layer, x: Array, dy: Array, request: Request, compute: Compute) -> tuple[Array, Array, Array]:
    """Outputs and gradients of a layer with the numbers of a precision, as they are stored."""
    kind = getattr(torch, stored(request.cell.precision))
    layer.to(kind)
    given = backend.put({"x": np.ascontiguousarray(x), "dy": np.ascontiguousarray(dy)})  # strides make a program
    y, dx, dw = compute(layer, given["x"].to(kind).requires_grad_(), given["dy"].to(kind))
    (_, axes) = layers.named(layer)["w"]
    found = backend.read({"y": y.double(), "dx": dx.double(), "dw": dw.double().permute(axes)})
    return found["y"], found["dx"], found["dw"]


def gradients(layer: layers.Layer, x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output of a layer without a bias, and what `dy` gives its input and its weights."""
    y = layer(x)
    dx, dw = torch.autograd.grad(y, (x, layer.w), dy.to(y.dtype))
    return y.detach(), dx, dw
