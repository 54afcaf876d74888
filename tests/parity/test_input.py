"""Where batches come from changes no loss: `--input host` with its thread, and `--input device`."""

import json

import pytest

from bench import manifests
from tests.parity.test_runtime import configured

STEPS = 5
# The request's input is read when the steady state's feed is made; the loop is the harness's own.
TRAIN = f"""
from dataclasses import replace
import json
from bench import worker
from bench.machine.memory import HostMemory
request = Request.from_json(sys.argv[1])
code = importlib.import_module(backend.__name__.replace("backend", request.cell.workload))
losses = {{}}
for place in ("host", "device"):
    asked = replace(request, steps=1, cell=replace(request.cell, input=place))
    training, batch = worker.start_training(
        asked, backend, code, worker.Found(fields={{"phases_s": {{}}}}), HostMemory()
    )
    with worker.steady_feed(asked, backend, batch, training.done) as training.feed:
        found = losses[place] = []
        for _ in range({STEPS}):
            training.advance(1)
            training.wait()
            found.append(float(backend.read(training.losses)["reconstruction"]))
print(json.dumps(losses))
"""


@pytest.mark.parametrize("impl", manifests.BUILT_IN)
def test_losses_are_the_same(impl: str) -> None:
    losses = json.loads(configured(impl, TRAIN))
    assert len(losses["host"]) == STEPS and len(set(losses["host"])) == STEPS
    assert losses["host"] == losses["device"]
