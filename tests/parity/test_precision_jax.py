"""JAX at every precision: what its products are, how far it strays from float64, the loss scale of fp16."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import manifests
from bench.precision import FIRST_SCALE

pytestmark = pytest.mark.long

WORKLOADS = ("autoencoder", "gan", "lm")
PRODUCTS = {f"probed({kind!r})": kind for kind in ("fp64", "fp32", "bf16", "fp16")}
LOSSES = tuple(f"losses({workload!r}, {kind!r})" for workload in WORKLOADS for kind in ("fp64", "bf16"))
PLANTED = tuple(f"planted({optimizer!r})" for optimizer in ("adamw", "sgd", "rmsprop", "adamw+clip+cosine"))
FORMS = ("forms_of_16_bits('lm')", "forms_of_16_bits('gan')")
ALONE = ("growth()", "overflow()", "evident('lm', 'bf16')", "evident('lm', 'fp32')")
FUSED = {  # cuDNN's attention, in each of the two layers
    "kernels_on_a_gpu('bf16', 'best', 9.0)": 2,
    "kernels_on_a_gpu('fp16', 'best', 8.0)": 2,
    "kernels_on_a_gpu('bf16', 'best', 7.5)": 0,
    "kernels_on_a_gpu('fp32', 'best', 9.0)": 0,
    "kernels_on_a_gpu('bf16', 'plain', 9.0)": 0,
}
FUSED_ON_TWO = "kernels_on_a_gpu('bf16', 'best', 9.0, 2)"
ATTENTION = "attention('bf16')"
TRIALS = (*FUSED, ATTENTION, *FORMS, *PRODUCTS, *LOSSES, *PLANTED, *ALONE)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return trials(*TRIALS)


def trials(*names: str) -> dict[str, Any]:
    """What each found, all of them in one process of its own."""
    variables = manifests.find()["jax"].environment | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity.jax_trials", *names],
        env={**os.environ, **variables},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("trial", PRODUCTS)
def test_products_are_what_was_asked_for(found: dict[str, Any], trial: str) -> None:
    assert found[trial] == {"matmul": PRODUCTS[trial], "conv": PRODUCTS[trial]}


@pytest.mark.parametrize("trial", FUSED)
def test_attention_on_a_gpu_is_fused_where_cudnn_can_and_best_kernels_are_asked_for(
    found: dict[str, Any], trial: str
) -> None:
    """Seen in the program that would be compiled; cuDNN itself is not here."""
    assert_fused(found[trial], FUSED[trial])


def test_attention_is_fused_on_each_of_two_gpus() -> None:
    assert_fused(trials(FUSED_ON_TWO)[FUSED_ON_TWO], 2)


def assert_fused(found: dict[str, Any], layers: int) -> None:
    assert (found["forward"], found["backward"]) == (layers, layers)
    assert found["told"] == ("cuDNN" if layers else "softmax written out")
    assert found["tested"] == (["attention"] if layers else []), "a fused kernel has its test against the plain form"


def test_attention_of_the_kernels_test_is_attention(found: dict[str, Any]) -> None:
    """JAX's own has its softmax in float32, 4e-7 off; of 16 bits it is 0.014 off."""
    assert found[ATTENTION]["exact"] < 1e-6 < found[ATTENTION]["written"] < 0.05


@pytest.mark.parametrize("workload", WORKLOADS)
def test_losses_stay_near_those_of_float64(found: dict[str, Any], workload: str) -> None:
    """Reached 9e-5 (lm), 3e-4 (gan), 7e-4 (autoencoder)."""
    pairs = zip(found[f"losses({workload!r}, 'fp64')"], found[f"losses({workload!r}, 'bf16')"], strict=True)
    assert 0.0 < max(abs(b[name] / a[name] - 1) for a, b in pairs for name in a) < 2e-3


@pytest.mark.parametrize("trial", PLANTED)
def test_an_update_with_a_gradient_that_is_not_finite_does_not_happen(found: dict[str, Any], trial: str) -> None:
    """Parameters, slots and t stay; what does happen is as if it had never been tried."""
    told = found[trial]
    assert told["unchanged"] == [True, False, False, True, False]
    assert told["scale"] == [FIRST_SCALE / 2] * 3 + [FIRST_SCALE / 4] * 2
    assert told["good"] == [0, 1, 2, 0, 1]
    assert told["skipped"] == [1, 1, 1, 2, 2]
    assert told["distance"] < 1e-6


def test_the_scale_grows_after_good_updates_in_a_row(found: dict[str, Any]) -> None:
    assert found["growth()"] == [FIRST_SCALE * factor for factor in (1, 1, 2, 2, 2, 4)]


@pytest.mark.parametrize("trial", FORMS)
def test_forms_of_16_bits_are_the_proven_function(found: dict[str, Any], trial: str) -> None:
    assert found[trial] < 1e-12


def test_the_first_steps_of_the_autoencoder_overflow(found: dict[str, Any]) -> None:
    told = found["overflow()"]
    assert told["skipped"] == told["account of skipped"]
    assert told["scale"] == told["account of the scale"]
    assert 1 <= told["skipped"][-1] < len(told["skipped"])


@pytest.mark.parametrize("kind", ["bf16", "fp32"])
def test_what_was_on_is_told(found: dict[str, Any], kind: str) -> None:
    told = found[f"evident('lm', {kind!r})"]
    assert told["jit"] and told["donation"] and told["compiled_once"]
    assert not told["tf32"] and not told["loss_scaling"] and told["subnormals"] == "flushed"
    assert told["products"] == {"bf16": "bfloat16", "fp32": "float32"}[kind]
