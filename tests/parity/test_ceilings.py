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

WAYS = [
    (impl, variant, precision)
    for impl, variants in {"torch": ("eager",), "tf": ("graph", "xla"), "jax": ("jit",)}.items()
    for variant in variants
    for precision in ("fp64", "fp32", "bf16")
] + [("torch", "compile", "fp32"), ("jax", "jit", "fp16"), ("torch", "eager", "fp16")]


def trial(*way: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity.ceiling_trials", *way],
        env={**os.environ, **manifests.find()[way[0]].environment, "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_ceilings_compute_what_they_say(way: tuple[str, str, str]) -> None:
    """A sum of so many products of normal numbers has their count as its variance."""
    told = trial(*way)
    assert told["shape"] == [SIDE, SIDE] and product(way[2]) in told["type"]
    assert told["std"] == pytest.approx(math.sqrt(SIDE), rel=0.05) and abs(told["mean"]) < 1
    if way[0] != "tf":
        assert (told["copied"], told["copied value"]) == (BYTES, [1, 1])
        assert told["copied type"] == stored(way[2])
