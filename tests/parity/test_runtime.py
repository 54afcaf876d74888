"""What the runtimes are set to, asked of the real frameworks after their own `configure`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import manifests, plan
from bench.launch import Launcher
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.spec import Request

SQUARE = {
    "torch": "import torch; y = torch.full((4096,), 1e-20) * torch.full((4096,), 1e-20); y = float(y.abs().max())",
    "tf": "import tensorflow as tf; y = float(tf.function(lambda x: tf.reduce_max(x * x))(tf.fill([4096], 1e-20)))",
    "jax": "import jax, jax.numpy as jnp; y = float(jax.jit(lambda x: x * x)(jnp.full(4096, 1e-20)).max())",
}


@pytest.mark.parametrize("impl", manifests.BUILT_IN)
def test_threads_are_as_asked_and_subnormals_flushed(impl: str) -> None:
    """1e-40 is no normal float32. Whether it is kept must be the same in all frameworks: here it is 0."""
    told = configured(impl, f"{SQUARE[impl]}; print(y, backend.devices() and backend.threads()['intra'])")
    assert told == f"0.0 {len(physical_cores())}"


@pytest.mark.alone
@pytest.mark.parametrize("impl", manifests.BUILT_IN)
def test_no_framework_uses_more_cores_than_it_was_given(impl: str, tmp_path: Path) -> None:
    """The processor time of the cell's own process, in the windows, and the cores that it was bound to at the end."""
    cell = plan.plan_cells(Choice(impl=(impl,), workload=("autoencoder",)), manifests.find())[0]
    counts = range(1, min(2, len(physical_cores())) + 1)
    with Launcher(manifests.find(), cold=False) as launcher:
        for count in counts:
            cores = physical_cores()[:count]
            folder = str(tmp_path / f"cell{count}")
            request = Request(cell=cell, task="measure", folder=folder, threads=count, cpus=cores)
            outcome = launcher.run(request, 120.0, tmp_path / "log")
            assert outcome.ok, outcome.fields
            threads, windows = outcome.fields["threads"], outcome.fields["windows"]
            assert (threads["intra"], threads["affinity"]) == (count, list(cores)) and threads["total"] >= count
            used_s, wall_s = (sum(window[part] for window in windows) for part in ("cpu_s", "seconds"))
            assert used_s <= count * wall_s * 1.05
            assert outcome.fields["flags"].items() >= manifests.find()[impl].variables(request).items()


def configured(impl: str, code: str) -> str:
    """What a program prints after the implementation's `configure`, in a process of its own."""
    cell = plan.plan_cells(Choice(impl=(impl,), workload=("autoencoder",)), manifests.find())[0]
    cores = physical_cores()
    request = Request(cell=cell, task="trace", folder="", threads=len(cores), cpus=cores)
    manifest = manifests.find()[impl]
    start = (
        "import sys, importlib; from bench.spec import Request\n"
        f"backend = importlib.import_module('{manifest.package}.backend')\n"
        "backend.configure(Request.from_json(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + code, request.to_json()],
        env={**os.environ, **manifest.variables(request)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]
