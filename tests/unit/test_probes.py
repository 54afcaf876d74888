"""The probes tell precisions apart, exactly: products in numpy that round as stated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import probes

Array = NDArray[Any]


def rounded(bits: int, limit: float = np.inf) -> Callable[[Array], Array]:
    """To a number of significant bits; beyond the limit to infinity."""

    def round_(x: Array) -> Array:
        fraction, exponent = np.frexp(x)
        y = np.ldexp(np.round(fraction * 2.0**bits) / 2.0**bits, exponent)
        return np.where(np.abs(y) > limit, np.copysign(np.inf, y), y)

    return round_


ROUNDED = {
    "fp64": rounded(53),
    "fp32": rounded(24),
    "tf32": rounded(11),
    "fp16": rounded(11, 65504.0),
    "bf16": rounded(8),
}


def matmul(inputs: Callable[[Array], Array], result: Callable[[Array], Array], sums: Callable[[Array], Array]) -> Any:
    """(x, w, dy) -> (y, dx, dw), each sum taken one after another and rounded each time."""

    def multiply(a: Array, b: Array) -> Array:
        a, b = inputs(a), inputs(b)
        total = np.zeros((len(a), b.shape[1]))
        with np.errstate(invalid="ignore"):
            for k in range(a.shape[1]):
                total = sums(total + np.outer(a[:, k], b[k]))
            return result(total)

    return lambda x, w, dy: (multiply(x, w), multiply(dy, w.T), multiply(x.T, dy))


@pytest.mark.parametrize("name", ROUNDED)
@pytest.mark.parametrize("part", probes.PARTS)
def test_every_precision_is_recognised_whatever_the_result_is_rounded_to(name: str, part: str) -> None:
    for result in (ROUNDED["fp64"], ROUNDED[name]):
        assert probes.probe(matmul(ROUNDED[name], result, ROUNDED["fp64"]), "matmul", part) == name
    if name != "fp64":
        assert probes.probe(matmul(ROUNDED[name], ROUNDED[name], ROUNDED["fp32"]), "matmul", part) == name


def test_another_number_of_bits_is_told() -> None:
    assert probes.probe(matmul(rounded(16), rounded(24), rounded(24)), "matmul", "y") == "16 bits"


@pytest.mark.parametrize("bits", [8, 11, 16])
def test_sums_of_fewer_bits_are_found(bits: int) -> None:
    found = probes.probe(matmul(ROUNDED["bf16"], ROUNDED["bf16"], rounded(bits)), "matmul", "y")
    assert found == "bf16 with sums of fewer bits than float32's"


def test_one_product_that_differs_is_named() -> None:
    """A gradient that was forgotten."""
    low, high = (matmul(ROUNDED[name], ROUNDED["fp32"], ROUNDED["fp32"]) for name in ("bf16", "fp32"))

    def mixed(x: Array, w: Array, dy: Array) -> tuple[Array, Array, Array]:
        y, dx, _ = low(x, w, dy)
        return y, dx, high(x, w, dy)[2]

    found = probes.effective_precision({"matmul": mixed, "conv": convolution, "transposed": transposed})
    assert found == {"matmul": "matmul y bf16, matmul dx bf16, matmul dw fp32", "conv": "fp64"}


def convolution(x: Array, w: Array, dy: Array) -> tuple[Array, Array, Array]:
    """In double precision, by the definition in `bench.spec.Conv`."""
    conv, y = probes.CONV, np.zeros_like(dy)
    padded = np.pad(x, ((0, 0), (conv.pad_before, conv.pad_after), (conv.pad_before, conv.pad_after), (0, 0)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    side = conv.side_out
    for i in range(conv.kernel):
        for j in range(conv.kernel):
            part = np.s_[:, i : i + 2 * side : 2, j : j + 2 * side : 2]
            y += padded[part] @ w[i, j]
            dpadded[part] += dy @ w[i, j].T
            dw[i, j] = np.einsum("bhwi,bhwo->io", padded[part], dy)
    inner = slice(conv.pad_before, -conv.pad_after)
    return y, dpadded[:, inner, inner], dw


def transposed(x: Array, w: Array, dy: Array) -> tuple[Array, Array, Array]:
    """The convolution's transpose: its input's gradient."""
    swapped = w.swapaxes(2, 3)
    _, y, dw = convolution(dy, swapped, x)
    return y, convolution(dy, swapped, x)[0], dw.swapaxes(2, 3)
