"""What the ceilings compute: a product of random normal squares in the precision's own type, a pass over memory."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import manifests
from bench.precision import product, stored
from tests.parity.ceiling_trials import BYTES, SIDE

pytestmark = pytest.mark.long

WAYS = {
    "torch": ("eager fp64", "eager fp32", "eager bf16", "compile fp32", "eager fp16"),
    "tf": ("graph fp64", "graph fp32", "graph bf16", "xla fp64", "xla fp32", "xla bf16"),
    "jax": ("jit fp64", "jit fp32", "jit bf16", "jit fp16"),
}


@pytest.fixture(scope="module", params=WAYS)
def trials(request: pytest.FixtureRequest) -> tuple[str, dict[str, dict[str, Any]]]:
    """What every way of a framework gave."""
    impl = request.param
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity.ceiling_trials", impl, *WAYS[impl]],
        env={**os.environ, **manifests.find()[impl].environment, "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return impl, json.loads(done.stdout.splitlines()[-1])


def test_ceilings_compute_what_they_say(trials: tuple[str, dict[str, dict[str, Any]]]) -> None:
    """A sum of so many products of normal numbers has their count as its variance."""
    impl, told_of = trials
    assert tuple(told_of) == WAYS[impl]
    for way, told in told_of.items():
        precision = way.split()[1]
        assert told["shape"] == [SIDE, SIDE] and product(precision) in told["type"], way
        assert told["std"] == pytest.approx(math.sqrt(SIDE), rel=0.05) and abs(told["mean"]) < 1, way
        if impl != "tf":
            assert (told["copied"], told["copied value"]) == (BYTES, [1, 1]), way
            assert told["copied type"] == stored(precision), way
