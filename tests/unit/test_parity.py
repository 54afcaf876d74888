"""Differences, tolerances and verdicts: each check is shown to fail where it must."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bench.proof import parity
from bench.proof.parity import Trace
from bench.spec import Param

PARAMS: Mapping[str, Param] = {"w": Param(shape=(2,), init="zeros"), "b": Param(shape=(1,), init="zeros")}


def trace(loss: float = 1.0, w: float = 1.0, m: float = 1.0, b: float = 0.0) -> Trace:
    state: dict[str, Any] = {
        "w": np.array([w, 2.0]), "b": np.array([b]), "m/w": np.array([m, 0.1]), "m/b": np.array([1e-6]),
    }  # fmt: skip
    return Trace(losses={"loss": [2.0, loss]}, state=state)


def compare(a: Trace, b: Trace) -> parity.Difference:
    return parity.compare(a, b, PARAMS, lr=1e-3)


def test_equal_traces_do_not_differ() -> None:
    assert compare(trace(), trace()).largest == 0.0


def test_scales_of_the_differences() -> None:
    assert compare(trace(), trace(loss=1.5)).loss == pytest.approx(0.5)
    assert compare(trace(), trace(w=1.5)).param == pytest.approx(0.5 / 2.0)  # the largest of the tensor
    assert compare(trace(), trace(b=1e-6)).param == pytest.approx(1e-6 / 2e-3)  # lr · steps
    assert compare(trace(), trace(m=1.5)).slot == pytest.approx(0.5)  # the largest of the slot


@pytest.mark.parametrize("wrong", [{"loss": 1 + 2e-9}, {"w": 1 + 4e-9}, {"m": 1 + 2e-9}, {"b": 1e-11}])
def test_small_differences_are_caught(wrong: dict[str, float]) -> None:
    assert not compare(trace(), trace(**wrong)).within_fp64


@pytest.mark.parametrize("wrong", ["loss", "w", "m"])
def test_nan_is_a_difference(wrong: str) -> None:
    assert compare(trace(), trace(**{wrong: float("nan")})).largest == float("inf")
    assert compare(trace(**{wrong: float("nan")}), trace()).largest == float("inf")


def test_a_loss_of_every_step_counts() -> None:
    early = Trace(losses={"loss": [2.1, 1.0]}, state=trace().state)
    assert compare(trace(), early).loss == pytest.approx(0.05)
    assert compare(trace(), early).worst == "loss at step 0"


def test_different_names_or_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="not the same state"):
        compare(trace(), Trace(losses=trace().losses, state={}))
    with pytest.raises(ValueError, match="not the same losses"):
        compare(trace(), Trace(losses={"other": [1.0, 1.0]}, state=trace().state))
    with pytest.raises(ValueError, match="shape"):
        compare(trace(), Trace(losses=trace().losses, state={**trace().state, "w": np.ones(3)}))


def judge(**traces: Trace) -> dict[str, bool]:
    judged = parity.judge({(name, "v"): one for name, one in traces.items()}, PARAMS, 1e-3)
    return {impl: found.equal for (impl, _), found in judged.items()}


def test_rough_networks_are_allowed_more_and_no_others() -> None:
    assert parity.tolerance("fp32", "base", 0, "gan") == 1e-3
    assert parity.tolerance("fp32", "base-twin", 9, "gan") == pytest.approx(3e-2)
    assert parity.tolerance("fp32", "base", 4, "autoencoder") == pytest.approx(3e-4)
    for workload, size in (("gan", "small"), ("lm", "base"), ("lm", "large"), ("autoencoder", "small")):
        assert parity.tolerance("fp32", size, 4, workload) == 5e-5


def test_what_honest_float32_reached_is_allowed() -> None:
    """Losses of the first five steps against the golden ones; measured in JAX, PyTorch or both."""
    seen = [
        ("autoencoder", "base", (3e-10, 2e-7, 8e-6, 2.7e-5, 5.3e-5)),
        ("autoencoder", "base", (3e-10, 1.2e-6, 3.3e-5, 1.6e-5, 3.2e-5)),
        ("autoencoder", "large", (4e-8, 1e-6, 5.3e-5, 8.8e-2, 8.5e-2)),
        ("autoencoder", "large", (4e-8, 3.9e-6, 8.7e-4, 7.6e-2, 6.3e-2)),
        ("gan", "large", (2.8e-5, 1.4e-2, 1.1e-2, 7.9e-3, 5.4e-2)),
    ]
    for workload, size, shares in seen:
        for step, share in enumerate(shares):
            assert share < parity.tolerance("fp32", size, step, workload)
    assert parity.tolerance("fp64", "large", 0, "autoencoder") == parity.FP64


def test_judge_counts_a_framework_once_however_many_variants_it_has() -> None:
    """Both variants of b share a mistake: a and c are two frameworks of three, though one trace of three each."""
    traces = {("a", "v"): trace(), ("b", "v"): trace(w=1.1), ("b", "w"): trace(w=1.1), ("c", "v"): trace()}
    judged = parity.judge(traces, PARAMS, 1e-3)
    assert {key: found.equal for key, found in judged.items()} == {key: key[0] != "b" for key in traces}


def test_judge_lays_a_variants_mistake_to_the_variant() -> None:
    traces = {("a", "v"): trace(), ("b", "v"): trace(), ("b", "w"): trace(w=1.1)}
    judged = parity.judge(traces, PARAMS, 1e-3)
    assert {key: found.equal for key, found in judged.items()} == {key: key[1] == "v" for key in traces}


def test_a_kernel_may_err_as_its_plain_form_does() -> None:
    assert parity.kernel_fault("k", best=3e-6, plain=1e-6, eps=1e-7) is None
    assert parity.kernel_fault("k", best=7e-7, plain=0.0, eps=1e-7) is None
    assert "k is 4.0e-06 off" in (parity.kernel_fault("k", best=4e-6, plain=1e-6, eps=1e-7) or "")
    assert parity.kernel_fault("k", best=float("nan"), plain=1e-6, eps=1e-7)


def test_judge_lays_a_mistake_to_its_framework() -> None:
    assert judge(torch=trace(), tf=trace(), jax=trace()) == {"torch": True, "tf": True, "jax": True}
    assert judge(torch=trace(), tf=trace(w=1.1), jax=trace()) == {"torch": True, "tf": False, "jax": True}


def test_two_that_differ_are_both_unproven_and_one_alone_too() -> None:
    assert judge(torch=trace(), tf=trace(w=1.1)) == {"torch": False, "tf": False}
    assert judge(torch=trace()) == {"torch": False}


def test_traces_that_cannot_be_compared_are_not_equal() -> None:
    odd = Trace(losses=trace().losses, state={})
    judged = parity.judge({("torch", "v"): trace(), ("tf", "v"): odd, ("jax", "v"): trace()}, PARAMS, 1e-3)
    assert {impl: found.equal for (impl, _), found in judged.items()} == {"torch": True, "tf": False, "jax": True}
    assert "not the same state" in (judged["tf", "v"].reason or "")


def test_two_camps_are_not_both_right_of_four() -> None:
    camps = judge(a=trace(), b=trace(), c=trace(w=1.1), d=trace(w=1.1))
    assert not any(camps.values())


def test_agreeing_with_oneself_is_no_proof() -> None:
    traces = {("torch", "eager"): trace(), ("torch", "compile"): trace()}
    assert not any(found.equal for found in parity.judge(traces, PARAMS, 1e-3).values())


def test_tolerances() -> None:
    assert parity.tolerance("fp64", "tiny", 3) == 1e-9
    assert {parity.tolerance("fp32", "tiny", step) for step in range(5)} == {1e-6}
    assert parity.tolerance("fp32", "small", 0) == 5e-5
    # What 16 seeds and 1 and 4 norm groups reached at most in torch and jax: 8e-6, where a unit lies next to 0
    assert parity.tolerance("fp32", "tiny", 2, "gan") == 5e-5
    assert {parity.tolerance("fp32", "tiny", 2, other) for other in ("lm", "autoencoder")} == {1e-6}  # 4e-7, 2e-7
    assert parity.tolerance("fp32", "tiny", 19) == pytest.approx(2e-4)
    assert parity.tolerance("fp32", "small", 19) == pytest.approx(2e-4)
    steps = [parity.tolerance("fp32", "tiny", step) for step in range(20)]
    assert steps == sorted(steps)


def test_trajectory_fault_names_step_and_difference() -> None:
    reference = {"loss": [1.0, 1.0, 1.0]}
    share, fault = parity.trajectory_fault({"loss": [1.0, 1.0, 1.0 + 1e-5, 99.0]}, reference, "fp32", "tiny")
    assert share == pytest.approx(1e-5) and fault == "loss at step 2 is 1.0e-05 off, 1e-06 allowed"
    assert parity.trajectory_fault({"loss": [1.0, 1.0, 1.0 + 1e-5]}, reference, "fp32", "small")[1] is None
    assert parity.trajectory_fault({"loss": [1.0, float("nan"), 1.0]}, reference, "fp32", "tiny")[1] is not None


@pytest.mark.parametrize("losses", [{}, {"loss": [1.0, 1.0]}, {"other": [1.0, 1.0, 1.0]}])
def test_losses_that_are_not_there_are_a_fault(losses: dict[str, list[float]]) -> None:
    share, fault = parity.trajectory_fault(losses, {"loss": [1.0, 1.0, 1.0]}, "fp32", "tiny")
    assert share == float("inf") and fault is not None and "missing" in fault


def test_a_rough_network_is_allowed_more_in_a_coarser_precision() -> None:
    for (workload, size), (_, later) in parity.ROUGH.items():
        for precision, allowed in parity.ROUNDED_LOSS.items():
            assert parity.tolerance(precision, size, 3, workload) == 4 * max(later, allowed)


def test_sixteen_bits_are_allowed_more() -> None:
    assert parity.tolerance("bf16", "tiny", 3) == 5e-3
    assert parity.tolerance("fp16", "small", 0) == 1e-3
    assert parity.tolerance("bf16", "large", 3, "autoencoder") == 2.0
