"""Precision of the TensorFlow implementation: what its products are, how far losses drift, what the loss scale does.

`python -m tests.parity.test_precision_tf VARIANT` finds all of it in one process and prints it; the tests judge.
"""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from bench import manifests, plan, precision, probes, worker, workloads
from bench.data.draw import init_params
from bench.machine.processor import physical_cores
from bench.optimizer import Optimizer
from bench.plan import Choice
from bench.spec import Param, Request

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
VARIANTS = manifests.find()["tf"].variants
STEPS = 5
# Largest relative difference of a loss from float64's; 2e-7 to 7e-4 was seen, in both variants.
DRIFT = {"gan": 2e-3, "autoencoder": 3e-3, "lm": 3e-4}
OPTIMIZERS = {
    "adamw": Optimizer(kind="adamw", lr=1e-2, weight_decay=0.1, clip=1.0),
    "rmsprop": Optimizer(kind="rmsprop", lr=1e-2, centered=True),
    "sgd": Optimizer(kind="sgd", lr=1e-2, nesterov=True, warmup=2, total=4),
}
FINITE = (False, True, True, True, True, False, True, True, True)  # gradients of one update after another
INTERVAL = 3


def request(variant: str, workload: str = "gan", name: str = "fp32") -> Request:
    choice = Choice(impl=("tf",), variant=(variant,), workload=(workload,), size="tiny", precision=("fp32",))
    (cell,) = plan.plan_cells(choice, manifests.find())
    cores = physical_cores()
    return Request(cell=replace(cell, precision=name), task="trace", folder="", threads=len(cores), cpus=cores)


def find(variant: str) -> dict[str, Any]:
    backend = importlib.import_module("impls.tf.backend")
    probe = importlib.import_module("impls.tf.probe")
    backend.configure(request(variant))
    names = ("fp64", "fp32", "bf16", "fp16")
    asked = {name: probe.products(request(variant, name=name), probes.CONV, probes.TRANSPOSED) for name in names}
    return {
        "probes": {name: probes.effective_precision(products) for name, products in asked.items()},
        "losses": {name: losses(variant, name, backend) for name in workloads.WORKLOADS},
        "updates": {name: updates(variant, optimizer) for name, optimizer in OPTIMIZERS.items()},
    }


def losses(variant: str, workload: str, backend: Any) -> dict[str, list[dict[str, float]]]:
    """Of the first steps, by precision."""
    code, spec = importlib.import_module(f"impls.tf.{workload}"), workloads.get(workload, "tiny")
    found: dict[str, list[dict[str, float]]] = {}
    for name in ("fp64", "bf16"):
        asked = request(variant, workload, name)
        state, step = code.build(spec, worker.cast(init_params(spec, 0), name), asked)
        found[name] = []
        for number in range(STEPS):
            batch = worker.cast(spec.batch_at(number, 0, 0, spec.batch), name)
            state, values = step(state, backend.put(batch))
            found[name].append({key: float(value) for key, value in backend.read(values).items()})
    return found


def updates(variant: str, optimizer: Optimizer) -> dict[str, Any]:
    """The scale, and whether a skipped update changed anything; the end against updates without a scale."""
    import tensorflow as tf

    optimizers = importlib.import_module("impls.tf.optimizers")
    params = {"w": np.linspace(-1, 1, 20, dtype="f").reshape(4, 5), "b": np.ones(3, "f")}
    specs = {name: Param(shape=p.shape, init="zeros", decay=name == "w") for name, p in params.items()}
    with mock.patch.object(precision, "GROWTH_INTERVAL", INTERVAL):
        scaled, plain = (
            optimizers.build(optimizer, params, specs, request(variant, name=name)) for name in ("fp16", "fp32")
        )

        @tf.function(autograph=False, jit_compile=variant == "xla")
        def update(which: Any, gradients: Any) -> None:
            optimizers.update(which, optimizers.joined(which, gradients))

        seen: list[list[float]] = []
        held = True
        for number, finite in enumerate(FINITE):
            before = optimizers.export((scaled,))
            gradients = {name: tf.constant(np.sin(number + np.arange(p.size, dtype="f")).reshape(p.shape))
                         for name, p in params.items()}  # fmt: skip
            factor = scaled.scaling.scale.numpy()
            planted = {"w": gradients["w"] * factor * (1.0 if finite else np.inf), "b": gradients["b"] * factor}
            update(scaled, planted)
            if finite:
                update(plain, gradients)
            after = optimizers.export((scaled,))
            held &= finite or all(np.array_equal(before[name], after[name]) for name in before)
            seen.append([float(x) for x in (*scaled.scaling, scaled.step)])
    ends = [optimizers.export((training,)) for training in (scaled, plain)]
    same = all(np.allclose(ends[0][name], ends[1][name], rtol=1e-6, atol=1e-7) for name in ends[0])
    return {"seen": seen, "held": bool(held), "same": bool(same)}


def account() -> list[list[float]]:
    """Scale, good updates in a row, skipped ones and t, by the formula of `bench.precision`."""
    scale, good, skipped, t = precision.FIRST_SCALE, 0, 0, 0
    rows: list[list[float]] = []
    for finite in FINITE:
        if finite:
            good, t = good + 1, t + 1
            if good == INTERVAL:
                scale, good = scale * precision.GROWTH, 0
        else:
            scale, good, skipped = scale * precision.BACKOFF, 0, skipped + 1
        rows.append([scale, good, skipped, t])
    return rows


@lru_cache
def found(variant: str) -> dict[str, Any]:
    environment = {**os.environ, **manifests.find()["tf"].variables(request(variant))}
    command = [sys.executable, "-m", "tests.parity.test_precision_tf", variant]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_products_have_the_precision_that_was_asked_for(variant: str) -> None:
    told = found(variant)["probes"]
    assert {name: told[name] for name in ("fp64", "fp32", "bf16")} == {
        name: {"matmul": name, "conv": name} for name in ("fp64", "fp32", "bf16")
    }
    assert told["fp16"]["matmul"] == "fp16"
    # On a processor without 16-bit instructions the graph's gradients of convolutions add up in float16; XLA's do not.
    if told["fp16"]["conv"] != "fp16":
        parts = dict(part.rsplit(" fp16", 1) for part in told["fp16"]["conv"].split(", "))
        assert variant == "graph"
        assert {name for name, rest in parts.items() if rest} == {"conv dx", "conv dw", "transposed y", "transposed dw"}


@pytest.mark.parametrize("workload", workloads.WORKLOADS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_stay_near_those_of_float64(variant: str, workload: str) -> None:
    told = found(variant)["losses"][workload]
    for exact, low in zip(told["fp64"], told["bf16"], strict=True):
        assert set(exact) == set(low)  # nothing is skipped where nothing is scaled
        assert all(abs(exact[name] - low[name]) <= DRIFT[workload] * abs(exact[name]) for name in exact)
    assert told["fp64"] != told["bf16"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_scale_follows_its_formula(variant: str, optimizer: str) -> None:
    told = found(variant)["updates"][optimizer]
    assert told["seen"] == account()
    assert told["held"], "a skipped update changed a parameter or a slot"
    assert told["same"], "updates that happened are not those without a scale"


if __name__ == "__main__":
    print(json.dumps(find(sys.argv[1])))
