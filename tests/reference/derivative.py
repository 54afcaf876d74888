"""Gradients by the complex step (Squire & Trapp 1998): no rule of differentiation, no cancellation.

For an analytic f, real on real x, f(x + ih) = f(x) + ih·f′(x) − h²·f″(x)/2 − …, so Im f(x + ih) / h is f′(x) up to
terms of h², which vanish against rounding. Where f has a kink the comparison sees the real part alone, so that the
derivative at it is that of the branch which the docstring says is taken there.
"""

from collections.abc import Callable, Iterable

import numpy as np

from tests.reference.layers import Array

STEP = 1e-30
Loss = Callable[[dict[str, Array]], Array]  # of all parameters; a scalar


def gradient(loss: Loss, params: dict[str, Array], names: Iterable[str]) -> dict[str, Array]:
    """d loss / d params for the tensors named, one evaluation for each number in them."""
    return {name: _partial(loss, params, name, 1j * STEP).imag / STEP for name in names}


def central_differences(loss: Loss, params: dict[str, Array], names: Iterable[str], step: float) -> dict[str, Array]:
    """The same to about step² and rounding / step: what the complex step is checked against."""
    return {
        name: (_partial(loss, params, name, step) - _partial(loss, params, name, -step)) / (2 * step) for name in names
    }


def _partial(loss: Loss, params: dict[str, Array], name: str, step: complex) -> Array:
    """The loss with each number of one tensor moved by `step`, in the tensor's shape."""
    moved = params[name].astype(type(step))
    found = np.empty(moved.shape, moved.dtype)
    for index, value in np.ndenumerate(params[name]):
        moved[index] = value + step
        found[index] = loss(params | {name: moved})
        moved[index] = value
    return found
