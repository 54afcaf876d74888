"""The check that waiting really waited, on TensorFlow's own runtime: a forgotten wait is found, and what is not found.

TensorFlow finishes a step on a processor before it returns, so it is told to execute asynchronously here: a step then
is dispatched, as it is to a GPU. `python -m tests.parity.test_sync_tf FAULT` measures the autoencoder with a fault
planted and prints what `measure.steady_state` says. Windows are short: without a wait they hold dispatching alone, and
the work of all its steps comes after each.
"""

import importlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench import manifests, measure, plan, worker
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.proof import parity
from bench.spec import Request

pytestmark = [pytest.mark.long, pytest.mark.alone]

ROOT = Path(__file__).parents[2]


def request() -> Request:
    cells = plan.plan_cells(
        Choice(impl=("tf",), variant=("graph",), workload=("autoencoder",), precision=("fp32",)), manifests.find()
    )
    cores = physical_cores()
    return Request(
        cell=cells[0], task="measure", folder="", threads=len(cores), cpus=cores,
        min_time_s=0.0, window_s=0.01, latency_steps=1,
    )  # fmt: skip


def measured(fault: str) -> dict[str, Any]:
    """Status and reason of a few windows."""
    import tensorflow as tf

    backend = importlib.import_module("impls.tf.backend")
    code = importlib.import_module("impls.tf.autoencoder")
    tf.config.experimental.set_synchronous_execution(False)
    told = worker.Found(fields={"phases_s": {}})
    training, batch = worker.start_training(request(), backend, code, told)
    ring = [backend.put(batch(number)) for number in range(4)]
    training.feed = lambda number: ring[number % len(ring)]
    if fault != "none":
        training.sync = lambda x: None
    if fault in ("read", "both"):
        backend.read = lambda x: {}  # copies nothing, so it waits for nothing, as if it told what was there already
    if fault == "both":
        code.export = lambda state, names=None, device=0: {}
    worker.warm_up(training, 2, 0, backend, told)
    found = measure.steady_state(training, request())
    backend.sync(None)  # or the process ends in the middle of the work
    share = found["sync_check"]["median_share"]
    return {"status": found["status"], "reason": found["reason"], "share": share, "losses": told.fields["losses"]}


@cache
def run(fault: str) -> dict[str, Any]:
    environment = {**os.environ, **manifests.find()["tf"].variables(request())}
    command = [sys.executable, "-m", "tests.parity.test_sync_tf", fault]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("fault", ["sync", "read"])
def test_a_forgotten_wait_is_found(fault: str) -> None:
    """Reading the parameter waits too, so `read` alone can hide nothing."""
    found = run(fault)
    assert found["status"] == "invalid"
    assert "longer than on an idle device" in found["reason"]
    assert found["share"] > 1  # the work takes longer than its dispatching


def test_sync_waits_for_work_that_was_only_dispatched() -> None:
    assert run("none")["share"] < 0.5  # how small it is depends on what else the machine does


def test_a_second_door_that_closes_early_tells_no_losses() -> None:
    """Where `read` and `export` do not wait either no time is left over to be seen, and no losses come: diverged."""
    found = run("both")
    reference = {"reconstruction": [1.0]}
    assert parity.trajectory_fault(found["losses"], reference, "fp32", "tiny")[1] is not None
    assert len(run("none")["losses"]["reconstruction"]) == 2


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1])))
