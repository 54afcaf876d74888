"""The real frameworks, on every workload: the same step to rounding. Needs all that are built in."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import manifests, run, store, verify, workloads
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.proof import groups
from bench.proof.groups import Row
from bench.settings import Settings

IMPLS = manifests.BUILT_IN
# What each framework tells of what was on, so that a table can stand them side by side.
TOLD = {
    "allocator", "donation", "fast_math", "fused_optimizer", "jit", "loss_scaling", "onednn", "optimizer_kernel",
    "products", "subnormals", "tf32",
}  # fmt: skip
IMAGES = {"convolutions", "layout", "transposed_convolution"}
TOLD_OF = {"gan": IMAGES | {"batch_norm"}, "autoencoder": IMAGES, "lm": {"attention"}}
DEFAULTS = tuple(manifest.default_variant["cpu"] for manifest in manifests.find().values())


TINY = Choice(size="tiny", variant=DEFAULTS)
# `make verify-all` proves every other optimizer on the autoencoder, these are on all parameters of the others.
OTHERS = {"gan": "rmsprop-centered+clip", "lm": "sgd-nesterov+clip+cosine"}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMESTEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def proven(cache: None) -> list[Row]:
    """Each workload with its own optimizer, and two with another, in one go: each framework is imported once."""
    planned = groups.plan_groups(TINY, None, manifests.find())
    for workload, optimizer in OTHERS.items():
        choice = replace(TINY, workload=(workload,), precision=("fp64",), optimizer=optimizer)
        planned += groups.plan_groups(choice, 5, manifests.find())
    return verify.prove(planned, 300.0, manifests.find())


def test_every_framework_is_installed() -> None:
    assert [name for name, manifest in manifests.find().items() if not manifest.installed] == []


@pytest.mark.parametrize("workload", workloads.WORKLOADS)
def test_frameworks_compute_the_same_step(workload: str, proven: list[Row]) -> None:
    """Float64 as near as was reached, not as near as is allowed: see docs/parity.md."""
    own = workloads.get(workload, "tiny").default_optimizer
    rows = [row for row in proven if (row.cell.workload, row.cell.optimizer) == (workload, own)]
    assert [(row.cell.impl, row.cell.precision) for row in rows if row.equal] == [
        (impl, precision) for precision in ("fp64", "fp32") for impl in IMPLS
    ]
    for row in rows:
        if row.cell.precision == "fp64":
            assert row.difference is not None
            assert row.difference.loss <= 1e-13
            assert row.difference.param <= 1e-10
            assert row.difference.slot <= 1e-10


@pytest.mark.parametrize("workload", OTHERS)
def test_other_optimizers(workload: str, proven: list[Row]) -> None:
    rows = [row for row in proven if (row.cell.workload, row.cell.optimizer) == (workload, OTHERS[workload])]
    assert [row.cell.impl for row in rows if row.equal] == list(IMPLS), [row.reason for row in rows]


@pytest.mark.long
@pytest.mark.alone
def test_a_run_is_proven(tmp_path: Path) -> None:
    """The whole line on real frameworks: short windows, so that it says nothing about speed."""
    settings = Settings(repeats=1, min_time_s=0.1, out=tmp_path / "run", report=False, ceilings=False)
    code = run.run(Choice(precision=("fp32",)), settings, manifests.find())
    records = store.load(tmp_path / "run").records
    told = [(found["cell"]["impl"], found["cell"]["workload"], found["status"], found["reason"]) for found in records]
    assert code == 0 and len(records) == len(IMPLS) * len(workloads.WORKLOADS), told
    for found in records:
        assert found["parity"]["verdict"] == "proven", (found["cell"], found["parity"])
        conv = None if found["cell"]["workload"] == "lm" else "fp32"
        assert found["effective_precision"] == {"matmul": "fp32", "conv": conv}
        of_workload = TOLD | TOLD_OF[found["cell"]["workload"]]
        assert of_workload <= set(found["optimisations"]), of_workload - set(found["optimisations"])
        assert found["sync_check"]["median_share"] < 0.05
        assert found["threads"]["affinity"] == list(physical_cores())
        assert found["memory_bytes"]["host_peak"] > found["memory_bytes"]["host_baseline"] > 0


@pytest.mark.parametrize("impl", ["jax", *(pytest.param(impl, marks=pytest.mark.long) for impl in ("torch", "tf"))])
def test_a_cold_start_measures_too(impl: str, tmp_path: Path) -> None:
    settings = Settings(repeats=1, min_time_s=0.05, out=tmp_path / "run", report=False, ceilings=False, cold=True)
    choice = Choice(impl=(impl,), workload=("autoencoder",), precision=("fp32",), input="host")
    assert run.run(choice, settings, {impl: manifests.find()[impl]}) == 0
    (found,) = store.load(tmp_path / "run").records
    assert found["start"] == "cold"
    assert found["parity"]["verdict"] in ("proven", "consistent")  # a proof of it, kept or shipped, may be there
    assert found["parity"]["max_rel_loss_diff"] < 1e-6
    assert found["phases_s"]["import"] > 0.1
