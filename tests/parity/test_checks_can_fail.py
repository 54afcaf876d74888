"""The planted mistakes themselves: each has its edits, and one that does not fit is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutations import __main__ as mutations
from tests.mutations.mistakes import CONTROL, MISTAKES, Edit

ROOT = Path(__file__).parents[2]


def test_an_edit_that_fits_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with mutations.laboratory() as place, pytest.raises(ValueError, match="holds 0 of"):
        place.plant("jax", "eps-1e-7", [Edit(file="autoencoder.py", old="no such text", new="")])


@pytest.mark.parametrize("impl", ["torch", "tf", "jax"])
def test_every_mistake_has_its_edits_and_each_fits(impl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    edits = mutations.edits_of(impl)
    assert set(edits) == {*MISTAKES, CONTROL}
    assert sum(not isinstance(edit, str) for edit in edits.values()) >= 25
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with mutations.laboratory() as place:
        for name, planted in edits.items():
            if not isinstance(planted, str):
                place.plant(impl, name, planted)
        for path in place.folder.rglob("*.py"):
            compile(path.read_text(encoding="utf-8"), path, "exec")


def test_micro_batches_are_the_whole_batch() -> None:
    """The recipe of the language model's golden losses, against the implementation's own step."""
    code = """
import scripts.golden as golden
from bench import manifests, plan, workloads
from bench.data.draw import init_params
from bench.plan import Choice
from bench.spec import Request
from impls.torch import backend
(cell,) = plan.plan_cells(Choice(impl=("torch",), workload=("lm",), precision=("fp64",)), manifests.find())
request = Request(cell=cell, task="trace", folder="", threads=2)
backend.configure(request)
workload = workloads.get("lm", "tiny")
steps = [make(workload, request) for make in (golden.micro_steps, golden.whole_steps)]
for number in range(3):
    batch = backend.put(workload.batch_at(number, 0, 0, workload.batch))
    micro, whole = (float(step(batch)["cross_entropy"]) for step in steps)
    assert abs(micro - whole) < 1e-12 * whole, (number, micro, whole)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
