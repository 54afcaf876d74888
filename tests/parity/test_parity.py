"""The real frameworks, on every workload: the same step to rounding. Needs all that are built in."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import manifests, plan, run, store, verify, workloads
from bench.launch import Launcher
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.proof import parity, proofs
from bench.proof.parity import Trace
from bench.settings import Settings
from bench.spec import Cell, Request

IMPLS = manifests.BUILT_IN
# What each framework tells of what was on, so that a table can stand them side by side.
TOLD = {
    "allocator", "donation", "fast_math", "fused_optimizer", "jit", "loss_scaling", "onednn", "optimizer_kernel",
    "products", "subnormals", "tf32",
}  # fmt: skip
IMAGES = {"convolutions", "layout", "transposed_convolution"}
TOLD_OF = {"gan": IMAGES | {"batch_norm"}, "autoencoder": IMAGES, "lm": {"attention"}}
DEFAULTS = tuple(manifest.default_variant["cpu"] for manifest in manifests.find().values())


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    patch = pytest.MonkeyPatch()
    patch.setenv("SAMESTEP_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_every_framework_is_installed() -> None:
    assert [name for name, manifest in manifests.find().items() if not manifest.installed] == []


@pytest.mark.parametrize("workload", workloads.WORKLOADS)
def test_frameworks_compute_the_same_step(workload: str) -> None:
    """Float64 as near as was reached, not as near as is allowed: see docs/parity.md."""
    rows = verify.verify(Choice(workload=(workload,), size="tiny", variant=DEFAULTS), None, 300.0, manifests.find())
    assert [(row.cell.impl, row.cell.precision) for row in rows if row.equal] == [
        (impl, precision) for precision in ("fp64", "fp32") for impl in IMPLS
    ]
    for row in rows:
        if row.cell.precision == "fp64":
            assert row.difference is not None
            assert row.difference.loss <= 1e-13
            assert row.difference.param <= 1e-10
            assert row.difference.slot <= 1e-10


@pytest.mark.parametrize("workload", ["gan", "autoencoder"])
def test_small_is_the_same_step_too(workload: str) -> None:
    choice = Choice(workload=(workload,), size="small", precision=("fp64",), variant=DEFAULTS)
    rows = verify.verify(choice, 1, 300.0, manifests.find())
    assert [row.cell.impl for row in rows if row.equal] == list(IMPLS), [row.reason for row in rows]


@pytest.mark.parametrize("workload", workloads.WORKLOADS)
def test_other_optimizers(workload: str) -> None:
    """One for each workload, on all of its parameters; `make verify-all` runs every one on the autoencoder."""
    other = {"gan": "rmsprop-centered+clip", "autoencoder": "adamw", "lm": "sgd-nesterov+clip+cosine"}[workload]
    choice = Choice(workload=(workload,), size="tiny", precision=("fp64",), optimizer=other, variant=DEFAULTS)
    rows = verify.verify(choice, 5, 300.0, manifests.find())
    assert [row.cell.impl for row in rows if row.equal] == list(IMPLS), [row.reason for row in rows]


def test_norm_groups_are_the_same_in_all(tmp_path: Path) -> None:
    """Three groups on one device: what three devices with a third of the batch each will compute."""
    cells = plan.plan_cells(Choice(workload=("gan",), size="tiny", precision=("fp64",)), manifests.find())
    with Launcher(manifests.find(), cold=False) as launcher:
        grouped = {(cell.impl, cell.variant): trace(launcher, replace(cell, norm_groups=3), 3) for cell in cells}
        whole = trace(launcher, cells[0], 3)
    spec = workloads.get("gan", "tiny")
    lr = spec.optimizer("adam").lr
    judged = parity.judge(grouped, spec.param_specs(), lr)
    assert all(found.equal for found in judged.values()), judged
    one = next(iter(grouped.values()))
    assert not parity.compare(one, whole, spec.param_specs(), lr).within_fp64


def trace(launcher: Launcher, cell: Cell, steps: int) -> Trace:
    cores = physical_cores()
    request = Request(cell=cell, task="trace", folder="", threads=len(cores), cpus=cores)
    return proofs.run_trace(launcher, cell, steps, request, 300.0, launcher.scratch / "log")


@pytest.mark.long
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


@pytest.mark.parametrize("impl", IMPLS)
def test_a_cold_start_measures_too(impl: str, tmp_path: Path) -> None:
    settings = Settings(repeats=1, min_time_s=0.05, out=tmp_path / "run", report=False, ceilings=False, cold=True)
    choice = Choice(impl=(impl,), workload=("autoencoder",), precision=("fp32",), input="host")
    assert run.run(choice, settings, {impl: manifests.find()[impl]}) == 0
    (found,) = store.load(tmp_path / "run").records
    assert found["start"] == "cold"
    assert found["parity"]["verdict"] in ("proven", "consistent")  # a proof of it, kept or shipped, may be there
    assert found["parity"]["max_rel_loss_diff"] < 1e-6
    assert found["phases_s"]["import"] > 0.1
