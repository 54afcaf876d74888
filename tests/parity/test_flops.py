"""The formulas of `flops_per_step` against what frameworks count of a real step of theirs.

PyTorch counts the operations of products alone, as the formulas do, and comes out equal once two forms that it computes
by are put into the formula: a transposed convolution to few channels is one of phases, whose kernel has zeros added
(`impls.torch.layers.subpixel`), and the backward pass of fused attention computes the scores again.

XLA leaves out the taps of a kernel that fall on padding, and counts each element-wise operation. With the same taps
left out of the formula it comes out above it, by 0.8 to 3.3 % of the products, which the element-wise ones are.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import workloads
from bench.spec import Conv

CASES = (
    "autoencoder/tiny/48", "autoencoder/small/16", "autoencoder/large-twin/8",
    "gan/tiny/48", "gan/small/16", "gan/base-twin/48",
    "lm/tiny/48", "lm/small/2",
)  # fmt: skip
VECTOR = 16  # output channels from which on PyTorch's transposed convolutions are not of phases
ELEMENTWISE = 0.05  # of the products, at most
Count = Callable[[Conv], int]


@pytest.fixture(scope="module", params=["torch", "jax"])
def counted(request: pytest.FixtureRequest) -> tuple[str, dict[str, dict[str, float]]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity.flop_counts", request.param, *CASES],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout.splitlines()[-1])


def on_padding_too(conv: Conv) -> int:
    """As the specification counts."""
    small = min(conv.side_in, conv.side_out)
    return 2 * small**2 * conv.kernel**2 * conv.inputs * conv.outputs


def in_phases(conv: Conv) -> int:
    """With the zeros that are added to a kernel until each of its phases has as many taps: 3 for 4×4 and 5×5."""
    if not (conv.transposed and conv.stride == 2 and conv.outputs < VECTOR):
        return on_padding_too(conv)
    return on_padding_too(conv) // conv.kernel**2 * (3 * conv.stride) ** 2


def on_images_alone(conv: Conv) -> int:
    """Without the taps that fall on padding."""
    small, large = sorted((conv.side_in, conv.side_out))
    taps = [i * conv.stride + k - conv.pad_before for i in range(small) for k in range(conv.kernel)]
    return 2 * sum(0 <= tap < large for tap in taps) ** 2 * conv.inputs * conv.outputs


def recounted(case: str, count: Count) -> int:
    """The formula of a case, its convolutions counted otherwise."""
    name, size, batch = case.split("/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conv, "flops", property(count))
        return workloads.get(name, size, int(batch)).flops_per_step


def attention(case: str) -> int:
    """Its two products, forward and both gradients of each."""
    name, size, batch = case.split("/")
    lm: Any = workloads.get(name, size, int(batch))
    return 3 * 2 * 2 * lm.layers * lm.context * lm.width * lm.items_per_step if name == "lm" else 0


def fault(impl: str, case: str, told: dict[str, float], wrong: Callable[[str, int], int] = lambda _, n: n) -> str:
    """In what a framework's count differs from the formula, or from a wrong one; nothing if it does not."""
    if impl == "torch":
        again = attention(case) // 6  # one product of the six
        expected = wrong(case, recounted(case, in_phases)) + again
        off = {"all": told["all"] - expected, "attention": told["attention"] - attention(case) - again}
        return "".join(f"{name}: {by:+} " for name, by in off.items() if by)
    share = told["all"] / wrong(case, recounted(case, on_images_alone)) - 1
    return "" if 0 < share < ELEMENTWISE else f"{share:+.3f} of the products are element-wise"


def test_formulas_are_what_frameworks_count(counted: tuple[str, dict[str, dict[str, float]]]) -> None:
    impl, told = counted
    assert {case: found for case in CASES if (found := fault(impl, case, told[case]))} == {}


def first_layer(case: str) -> int:
    """What is left out of the gradients to inputs, as nothing asks for that of an image."""
    name, size, batch = case.split("/")
    found: Any = workloads.get(name, size, int(batch))
    first = found.encoder[0] if name == "autoencoder" else found.discriminator[0]
    return int(batch) * on_images_alone(first)


# Less than XLA's element-wise operations, or about as much: PyTorch's count shows them
SMALL = {"the image's gradient too", "a discriminator's image's gradient too"}
WRONG: dict[str, tuple[str, Callable[[str, int], int]]] = {
    "causality halved": ("lm", lambda case, flops: flops - attention(case) // 2),
    "a backward pass like one forward": ("lm", lambda _, flops: flops * 2 // 3),
    "a multiply-add as one": ("gan", lambda _, flops: flops // 2),
    "the image's gradient too": ("autoencoder", lambda case, flops: flops + first_layer(case)),
    "a discriminator's image's gradient too": ("gan", lambda case, flops: flops + 2 * first_layer(case)),
}


def test_a_wrong_formula_is_found(counted: tuple[str, dict[str, dict[str, float]]]) -> None:
    impl, told = counted
    found = {
        mistake
        for mistake, (workload, wrong) in WRONG.items()
        if any(fault(impl, case, told[case], wrong) for case in CASES if case.startswith(workload))
    }
    assert {*WRONG} - found <= (SMALL if impl == "jax" else set())


def test_convolutions_are_counted_as_the_specification_does() -> None:
    assert all(recounted(case, on_padding_too) == flops(case) for case in CASES)
    assert any(recounted(case, on_images_alone) < flops(case) for case in CASES)


def flops(case: str) -> int:
    name, size, batch = case.split("/")
    return workloads.get(name, size, int(batch)).flops_per_step
