"""Products of numpy; those of images join single pixels, which is all that the probes ask for."""

import os
from typing import Any

import numpy as np

from tests.fake.faults import fail_in

TAP = (1, 1)
BITS = {"fp64": 53, "fp32": 24, "tf32": 11, "bf16": 8, "fp16": 11}


def rounded(x: Any, precision: str) -> Any:
    fraction, exponent = np.frexp(x)
    y = np.ldexp(np.round(fraction * 2.0 ** BITS[precision]) / 2.0 ** BITS[precision], exponent)
    return np.where(np.abs(y) > 65504, np.nan, y) if precision == "fp16" else y


def products(request: Any, conv: Any, transposed: Any) -> dict[str, Any]:
    """Of the precision that the cell asks for; with a fault such as `computes-tf32` of that one."""
    fail_in("probe")
    kind, _, other = os.environ.get("FAKE_FAULT", "").partition("-")
    precision = other if kind == "computes" else request.cell.precision

    def multiply(a_MK: Any, b_KN: Any) -> Any:
        return rounded(a_MK, precision) @ rounded(b_KN, precision)

    def matmul(x: Any, w: Any, dy: Any) -> Any:
        return multiply(x, w), multiply(dy, w.T), multiply(x.T, dy)

    def image(large: bool) -> Any:
        def join(x: Any, w: Any, dy: Any) -> Any:
            rows = [x[:, ::2, ::2] if large else x, dy if large else dy[:, ::2, ::2]]
            small_x, small_dy = (part.reshape(-1, part.shape[-1]) for part in rows)
            y, dx, dw = matmul(small_x, w[TAP], small_dy)
            out = np.zeros(dy.shape), np.zeros(x.shape), np.zeros(w.shape)
            out[0][:, :: 1 if large else 2, :: 1 if large else 2] = y.reshape(rows[1].shape)
            out[1][:, :: 2 if large else 1, :: 2 if large else 1] = dx.reshape(rows[0].shape)
            out[2][TAP] = dw
            return out

        return join

    return {"matmul": matmul, "conv": image(True), "transposed": image(False)}
