"""Which precision products really have: two probes of each, exact by construction, so that no threshold decides.

An implementation's `probe.products` gives its own matrix product, convolution and transposed convolution, as its layers
have them under a request, each as a function (x, w, dy) -> (y, dx, dw). Each of the three results is a product of two
of the arrays, and is probed on its own.

Input rounding: (1 + 2⁻ᵏ)·1 + 1·(−1) is 2⁻ᵏ if the input keeps k bits behind the leading one, and 0 if it does not.
Accumulation: whole numbers of 8 bits whose products cancel but for a small rest, which comes out exactly if sums keep
24 bits, in whatever order they are taken. Results of both are powers of two or small, so that rounding a result to 16
bits does not change it.

Shapes: an array of a product A_MK · B_KN has SIDE rows and columns.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from bench.precision import SIGNIFICANT_BITS
from bench.spec import Conv

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Product = Callable[[Array, Array, Array], tuple[Array, Array, Array]]  # (x, w, dy) -> (y, dx, dw)

SIDE = 128  # all numbers here are exact in the formats probed: how fast or large a machine is decides nothing
IMAGES, PIXELS = 2, 8  # SIDE is IMAGES · PIXELS²
TAP = 1  # of a 4×4 kernel with stride 2: joins pixel i of the small image and pixel 2·i of the large one
CONV = Conv(name="conv", inputs=SIDE, outputs=SIDE, kernel=4, stride=2, side_in=2 * PIXELS)
TRANSPOSED = Conv(name="transposed", inputs=SIDE, outputs=SIDE, kernel=4, stride=2, side_in=PIXELS, transposed=True)
KINDS = {"matmul": ("matmul",), "conv": ("conv", "transposed")}  # fields of the record: the products they stand for
PARTS = ("y", "dx", "dw")
LARGE = 2.0**17  # beyond float16's range, within that of the others


def effective_precision(products: "Mapping[str, Product]", kinds: Collection[str] = tuple(KINDS)) -> dict[str, str]:
    """For `matmul` and `conv`, or those of `kinds`, the name of the precision that all products of the kind have.

    Where they do not agree, or have none of the known ones, the text says what was found of each.
    """
    found: dict[str, str] = {}
    for kind in kinds:
        names = KINDS[kind]
        parts = {f"{name} {part}": probe(products[name], name, part) for name in names for part in PARTS}
        same = len(set(parts.values())) == 1
        found[kind] = next(iter(parts.values())) if same else ", ".join(f"{part} {is_}" for part, is_ in parts.items())
    return found


def probe(product: "Product", kind: str, part: str) -> str:
    """Precision of one of a product's three results: a name of `bench.precision`, or what it is instead."""

    def run(a_MK: "Array", b_KN: "Array") -> "Array":
        return multiply(product, kind, part, a_MK, b_KN)

    bits = min(significant_bits(run, operand) for operand in (0, 1))
    names = [name for name, known in SIGNIFICANT_BITS.items() if known == bits]
    if len(names) > 1:  # tf32 and fp16 differ in range alone
        names = ["tf32" if keeps_range(run) else "fp16"]
    name = names[0] if names else f"{bits} bits"
    return name if adds_exactly(run) else f"{name} with sums of fewer bits than float32's"


def significant_bits(run: "Callable[[Array, Array], Array]", operand: int) -> int:
    """Significant bits that a product keeps of its first (0) or second (1) input."""
    import numpy as np

    ladder, signs = np.zeros((2, SIDE, SIDE))
    rungs = np.arange(1, SIGNIFICANT_BITS["fp64"])  # bits behind the leading one
    ladder[rungs, 0], ladder[rungs, 1] = 1 + 2.0**-rungs, 1
    signs[0], signs[1] = 1, -1
    result = run(ladder, signs) if operand == 0 else run(signs.T, ladder.T).T
    exact = (result[rungs] == 2.0 ** -rungs[:, None]).all(1)
    return 1 + (len(rungs) if exact.all() else int(exact.argmin()))


def keeps_range(run: "Callable[[Array, Array], Array]") -> bool:
    import numpy as np

    large, small = np.zeros((2, SIDE, SIDE))
    large[:, 0], small[0] = LARGE, 1 / LARGE
    return bool((run(large, small) == 1).all())


def adds_exactly(run: "Callable[[Array, Array], Array]") -> bool:
    """Whether sums keep float32's 24 bits: they reach 4·10⁶, products 65,025, and what is left is below 256."""
    import numpy as np

    random = np.random.default_rng(0)
    half = SIDE // 2
    a_MK = np.tile(random.integers(1, 256, (SIDE, half)), 2).astype(float)
    b_KN = np.repeat(random.integers(1, 256, half), SIDE).reshape(half, SIDE).astype(float)
    b_KN = np.concatenate([b_KN, -b_KN])
    a_MK[:, 0] += 1  # is b_0 more than nothing
    order = random.permutation(SIDE)
    return bool((run(a_MK[:, order], b_KN[order]) == b_KN[0]).all())


def multiply(product: "Product", kind: str, part: str, a_MK: "Array", b_KN: "Array") -> "Array":
    """A · B as one of the results of a product: y = x · w, dx = dy · wᵀ, dw = xᵀ · dy, per pixel of an image."""
    import numpy as np

    other = np.zeros((SIDE, SIDE))
    arrays: dict[str, tuple[Array, Array, Array]] = {
        "y": (a_MK, b_KN, other),
        "dx": (other, b_KN.T, a_MK),
        "dw": (a_MK.T, other, b_KN),
    }
    x, w, dy = arrays[part]
    if kind == "matmul":
        results = product(x, w, dy)
    else:
        transposed = kind == "transposed"
        sides = (small_image, large_image) if transposed else (large_image, small_image)
        y, dx, dw = product(sides[0](x), one_tap(w), sides[1](dy))
        results = (pixels(y, transposed), pixels(dx, not transposed), dw[TAP, TAP])
    return np.asarray(results[PARTS.index(part)], np.float64)


def small_image(rows_MC: "Array") -> "Array":
    return rows_MC.reshape(IMAGES, PIXELS, PIXELS, SIDE)


def large_image(rows_MC: "Array") -> "Array":
    """Rows as every second pixel."""
    import numpy as np

    image_BHWC = np.zeros((IMAGES, 2 * PIXELS, 2 * PIXELS, SIDE))
    image_BHWC[:, ::2, ::2] = small_image(rows_MC)
    return image_BHWC


def pixels(image_BHWC: Any, large: bool) -> Any:
    """The rows of an image again."""
    return (image_BHWC[:, ::2, ::2] if large else image_BHWC).reshape(SIDE, SIDE)


def one_tap(w_IO: "Array") -> "Array":
    """A kernel (4, 4, in, out) that joins single pixels."""
    import numpy as np

    w_HWIO = np.zeros((CONV.kernel, CONV.kernel, SIDE, SIDE))
    w_HWIO[TAP, TAP] = w_IO
    return w_HWIO
