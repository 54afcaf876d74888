"""Products and copies of numpy."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.precision import stored
from tests.fake.faults import fail_in


def product(side: int, request: Any) -> Callable[[], Any]:
    fail_in("ceiling")
    x_SS = np.random.default_rng(0).standard_normal((side, side)).astype(stored(request.cell.precision))
    return lambda: x_SS @ x_SS


def scaled_copy(bytes_: int, request: Any) -> Callable[[], Any]:
    x_N = np.ones(bytes_ // 8)

    def scale() -> Any:
        nonlocal x_N
        x_N *= 1.0
        return x_N

    return scale
