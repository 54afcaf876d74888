"""The reference itself: its derivatives, its convolutions, causality, and what the cases are to bring about."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from bench import workloads
from bench.spec import Workload
from tests.reference import layers, networks
from tests.reference.agreement import reference
from tests.reference.cases import CASES, draw_batch, draw_params, random
from tests.reference.derivative import Loss, central_differences, gradient
from tests.reference.layers import Array
from tests.reference.training import Training


def test_the_complex_step_is_exact_to_rounding() -> None:
    """d/dx of exp(x) / sqrt(sin³x + cos³x) at 1.5, the example of Squire & Trapp, worked out by hand."""
    x = 1.5
    spread = np.sin(x) ** 3 + np.cos(x) ** 3
    slope = 3 * np.sin(x) ** 2 * np.cos(x) - 3 * np.cos(x) ** 2 * np.sin(x)
    exact = np.exp(x) / np.sqrt(spread) * (1 - slope / (2 * spread))

    def f(p: dict[str, Array]) -> Array:
        sin, cos = np.sin(p["x"]), np.cos(p["x"])
        return np.exp(p["x"]) / np.sqrt(sin * sin * sin + cos * cos * cos)

    assert gradient(f, {"x": np.asarray(x)}, ["x"])["x"] == pytest.approx(exact, rel=1e-15)


def losses(case: str) -> Iterator[Loss]:
    """Each loss of a case on its first batch, of all parameters; the generator's through D as it is at the start."""
    workload, batch, groups = CASES[case].workload, draw_batch(CASES[case], 0), CASES[case].norm_groups
    if workload.name == "lm":
        yield lambda p: networks.cross_entropy(workload, p, batch["token"])
    elif workload.name == "autoencoder":
        yield lambda p: networks.reconstruction(workload, p, batch["image"])
    else:
        fake, _ = networks.generate(workload, draw_params(CASES[case]), batch["z_d"], groups)
        yield lambda p: networks.discriminator_loss(workload, p, batch["image"], fake, groups)
        yield lambda p: networks.generator_loss(workload, p, batch["z_g"], groups)


@pytest.mark.parametrize("case", ["gan-d_norm-groups", "radford", "autoencoder-residual", "lm"])
def test_the_complex_step_agrees_with_central_differences(case: str) -> None:
    """To what those can give: step² and rounding / step, here about 1e-10 of the largest."""
    params = draw_params(CASES[case])
    for loss in losses(case):
        exact, rough = gradient(loss, params, params), central_differences(loss, params, params, 1e-6)
        largest = max(np.abs(g).max() for g in exact.values())
        for name in params:
            np.testing.assert_allclose(rough[name], exact[name], rtol=0, atol=1e-8 * largest, err_msg=name)


GEOMETRIES = [(kernel, stride, side) for kernel in (3, 4, 5) for stride in (1, 2) for side in (4, 7, 8)]


def draw_conv(kernel: int, side: int, inputs: int = 2, outputs: int = 3) -> tuple[Array, Array]:
    """An image x_BHWC, and a kernel w_KKCO."""
    source = random("conv", kernel, side)
    return source.standard_normal((2, side, side, inputs)), source.standard_normal((kernel, kernel, inputs, outputs))


def places(kernel: int, stride: int, large: int, small: int) -> Iterator[tuple[int, int, int]]:
    """(o, i, k) per axis with i = o·stride + k − pad_before inside the larger image, o in the smaller."""
    pad = max((small - 1) * stride + kernel - large, 0) // 2
    for o, k in product(range(small), range(kernel)):
        if 0 <= (i := o * stride + k - pad) < large:
            yield o, i, k


@pytest.mark.parametrize(("kernel", "stride", "side"), GEOMETRIES)
def test_convolutions_are_the_sums_of_the_docstring(kernel: int, stride: int, side: int) -> None:
    """Index by index; with 7 → 4 pixels too, where SAME rounds up."""
    x, w = draw_conv(kernel, side)
    small = -(-side // stride)
    expected = np.zeros((2, small, small, 3))
    rows = list(places(kernel, stride, side, small))
    for (o, i, k), (p, j, m) in product(rows, rows):
        expected[:, o, p] += x[:, i, j] @ w[k, m]
    np.testing.assert_allclose(layers.conv(x, w, stride), expected, rtol=1e-12, atol=1e-12)

    large = side * stride
    expected = np.zeros((2, large, large, 3))
    rows = list(places(kernel, stride, large, side))
    for (i, o, k), (j, p, m) in product(rows, rows):
        expected[:, o, p] += x[:, i, j] @ w[k, m]
    np.testing.assert_allclose(layers.conv_t(x, w, stride), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "side"), GEOMETRIES)
def test_a_transposed_convolution_is_the_gradient_of_a_convolution(kernel: int, stride: int, side: int) -> None:
    """As `bench.spec.Conv` says: ⟨conv(x), y⟩ = ⟨x, conv_t(y)⟩ for all x, y, channels in and out exchanged."""
    y, w = draw_conv(kernel, side)
    x = random("adjoint", kernel, side).standard_normal((2, side * stride, side * stride, 3))
    there = (layers.conv(x, w.transpose(0, 1, 3, 2), stride) * y).sum()
    assert (x * layers.conv_t(y, w, stride)).sum() == pytest.approx(there, rel=1e-12)


@pytest.mark.parametrize("position", range(1, 5))
def test_no_prediction_sees_a_later_token(position: int) -> None:
    """Another token at a position moves the loss terms from the one that predicts it on, and none before, not a bit."""
    case = CASES["lm"]
    params, token = draw_params(case), draw_batch(case, 0)["token"]
    other = token.copy()
    other[:, position] = (other[:, position] + 1) % case.workload.vocabulary
    before, after = (networks.surprise(case.workload, params, tokens) for tokens in (token, other))
    moved = (before != after).any(axis=0)
    assert moved.tolist() == [t >= position - 1 for t in range(case.workload.context)]


def test_gradients_reach_every_tensor() -> None:
    """Else a comparison of what becomes of it would say nothing."""
    for name in CASES:
        slots = {key: a for key, a in reference(name).items() if key.split("/")[1] in ("m", "mom")}
        assert [key for key, a in slots.items() if np.abs(a).max() < 1e-6] == [], name


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].workload.optimizer(CASES[name].optimizer).clip])
def test_clipping_is_active_where_it_should_be(name: str) -> None:
    training = Training(CASES[name])
    for step in range(CASES[name].steps):
        training.step(draw_batch(CASES[name], step))
    active = [norm > training.optimizer.clip for norm in training.norms]
    assert active == [not name.endswith("inactive")] * len(active)


def test_clipping_that_is_not_active_changes_nothing() -> None:
    clipped, free = reference("adam+clip-inactive"), reference("adam")
    assert all((clipped[key] == free[key]).all() for key in free)


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large", "base-twin", "large-twin"])
@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_weight_decay_is_for_matrices_kernels_and_embeddings(name: str, size: str) -> None:
    workload: Workload = workloads.get(name, size)
    for key, param in workload.param_specs().items():
        weight = key.endswith(".w") or key in ("tok", "pos")
        assert param.decay == weight == (len(param.shape) > 1), key
        assert weight or key.rpartition(".")[2] in ("b", "scale", "shift"), key
