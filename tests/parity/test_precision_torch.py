"""PyTorch at every precision: what its products are, how far it strays from float64, the loss scale of fp16."""

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
PRODUCTS = {
    f"probed({variant!r}, {workload!r}, {kind!r})": kind
    for variant, workload in (("eager", "autoencoder"), ("eager", "lm"), ("compile", "autoencoder"))
    for kind in ("fp64", "fp32", "bf16")
}
# Relative, of the first losses; reached 2e-5 (lm), 3e-4 (gan), 7e-4 (autoencoder)
DRIFTS = {f"drift('eager', {workload!r}, 'bf16')": 2e-3 for workload in WORKLOADS} | {
    "drift('eager', 'lm', 'fp16')": 1e-4
}
PLANTED = {f"planted({optimizer!r})": optimizer for optimizer in ("adamw", "sgd", "rmsprop", "adamw+clip+cosine")}
FORMS = {f"forms_of_16_bits({workload!r})": workload for workload in WORKLOADS}
CHOSEN = {
    "chosen('eager', True)": True, "chosen('eager', False)": True,
    "chosen('compile', True)": True, "chosen('compile', False)": False,
}  # fmt: skip
ALONE = ("probed('eager', 'autoencoder', 'fp16')", "gradients('bf16')", "bias_sums('bf16')", "attention()", "growth()",
         *CHOSEN,
         "overflow()", "planted_tf32()", "planted_sums_of_16_bits()")  # fmt: skip
TRIALS = (*FORMS, *PRODUCTS, *DRIFTS, *PLANTED, *ALONE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trials(*TRIALS, folder=tmp_path_factory.mktemp("compiled"))


def trials(*names: str, folder: Path) -> dict[str, Any]:
    """What each found, all of them in one process of its own."""
    variables = manifests.find()["torch"].environment | {"TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity.torch_trials", *names],
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


def test_float32_that_is_tf32_is_invalid(found: dict[str, Any]) -> None:
    """Planted in the convolutions alone, as PyTorch has it by default on GPUs."""
    told = found["planted_tf32()"]
    assert told["status"] == "invalid"
    assert told["effective_precision"]["matmul"] == "fp32"
    assert "conv y tf32" in told["effective_precision"]["conv"]


def test_fp16_convolutions_on_a_processor_are_told_apart(found: dict[str, Any]) -> None:
    """Without 16-bit instructions they are PyTorch's own, whose gradients to kernels are added up in their own type."""
    told = found["probed('eager', 'autoencoder', 'fp16')"]
    assert told["matmul"] == "fp16"
    if told["conv"] != "fp16":
        parts = dict(part.rsplit(" fp16", 1) for part in told["conv"].split(", "))
        assert {name for name, rest in parts.items() if rest} == {"conv dw", "transposed dw"}


def test_convolutions_that_add_up_in_16_bits_are_invalid(found: dict[str, Any]) -> None:
    told = found["planted_sums_of_16_bits()"]
    assert told["status"] == "invalid"
    assert "conv y fp16 with sums of fewer bits than float32's" in told["effective_precision"]["conv"]


@pytest.mark.parametrize("trial", DRIFTS)
def test_losses_stay_near_those_of_float64(found: dict[str, Any], trial: str) -> None:
    assert 0.0 < found[trial] < DRIFTS[trial]


def test_the_optimizer_gets_float32(found: dict[str, Any]) -> None:
    """Gradients of weights were of 16 bits; those of norms and embeddings never."""
    kinds = found["gradients('bf16')"]
    assert set(kinds) <= {"torch.float32 True", "torch.float32 False"}
    leaves = {kind: {name.rpartition(".")[2] for name in names} for kind, names in kinds.items()}
    assert leaves["torch.float32 True"] <= {"w", "b"}
    assert {"scale", "shift", "lm tok", "lm pos"} <= leaves["torch.float32 False"]


def test_gradients_of_biases_are_sums_in_float32(found: dict[str, Any]) -> None:
    assert all(found["bias_sums('bf16')"].values()), found["bias_sums('bf16')"]


@pytest.mark.parametrize("trial", FORMS)
def test_forms_of_16_bits_are_the_proven_function(found: dict[str, Any], trial: str) -> None:
    assert found[trial] < 1e-12


@pytest.mark.parametrize("trial", CHOSEN)
def test_attention_is_fused_unless_the_compiler_mistakes_its_type(found: dict[str, Any], trial: str) -> None:
    assert found[trial] == CHOSEN[trial]


def test_attention_of_16_bits_is_the_proven_one(found: dict[str, Any]) -> None:
    assert max(found["attention()"].values()) < 1e-14


@pytest.mark.parametrize("trial", PLANTED)
def test_an_update_with_a_gradient_that_is_not_finite_does_not_happen(found: dict[str, Any], trial: str) -> None:
    told = found[trial]
    assert told["unchanged"] == [True, False, False, True, False]
    assert told["scale"] == [FIRST_SCALE / 2] * 3 + [FIRST_SCALE / 4] * 2
    assert told["good"] == [0, 1, 2, 0, 1]
    assert told["skipped"] == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert told["finite"]
    assert told["t"] == (3.0 if "adam" in trial or "rmsprop" in trial else 0.0)
    if "cosine" in trial:
        from bench import workloads

        rate = workloads.get("lm", "tiny").optimizer(PLANTED[trial]).rate(3)
        assert told["rate"] == [rate] * len(told["rate"])


def test_the_scale_grows_after_good_updates_in_a_row(found: dict[str, Any]) -> None:
    assert found["growth()"] == [FIRST_SCALE * factor for factor in (1, 1, 2, 2, 2, 4)]


def test_the_first_steps_of_the_autoencoder_overflow(found: dict[str, Any]) -> None:
    told = found["overflow()"]
    assert told["skipped"] == told["account of skipped"]
    assert told["scale"] == told["account of the scale"]
    assert told["skipped"] == [0.0] * 8 + [1.0] * 4  # as in the other frameworks
