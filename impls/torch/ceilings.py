"""What the device can do at most, for `bench.ceilings`: a product of matrices, and passes over memory.

Shapes: S the side of a square, N elements.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.precision import stored
from bench.spec import Request

from . import backend, layers


def product(side: int, request: Request) -> Callable[[], Any]:
    """What dispatches one product of two squares, as a dense layer without a bias computes it."""
    forms = layers.choose(request)
    drawn = torch.Generator(forms.device).manual_seed(0)
    x_SS, w_SS = (torch.randn(side, side, generator=drawn, dtype=forms.product, device=forms.device) for _ in range(2))

    def multiply(x_SS: Tensor, w_SS: Tensor) -> Tensor:
        return layers.dense(x_SS, w_SS, None, forms)

    run = variant(multiply, request)
    return lambda: run(x_SS, w_SS)


def scaled_copy(bytes_: int, request: Request) -> Callable[[], Any]:
    """What dispatches x ← x · a in place, over so many bytes of the stored type; a is 1, which only the run tells."""
    device, kind = layers.choose(request).device, getattr(torch, stored(request.cell.precision))
    x_N = torch.ones(bytes_ // kind.itemsize, dtype=kind, device=device)
    a = torch.ones((), dtype=kind, device=device)

    def scale(x_N: Tensor, a: Tensor) -> Tensor:
        return x_N.mul_(a)

    run = variant(scale, request)
    return lambda: run(x_N, a)


def variant(function: Callable[..., Tensor], request: Request) -> Callable[..., Tensor]:
    """The function as the variant runs a step: as it is, or compiled."""
    return function if request.cell.variant == "eager" else backend.compiled(function)
