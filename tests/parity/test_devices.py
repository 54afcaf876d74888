"""Several emulated devices compute what one does, in float64, and no device holds another state than the rest."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import manifests, plan, workloads
from bench.launch import Launcher
from bench.plan import Choice
from bench.proof import parity, proofs
from bench.proof.parity import Trace
from bench.spec import Cell, Request

STEPS = 5
MANIFESTS = manifests.find()
IMPLS = [name for name in manifests.BUILT_IN if MANIFESTS[name].installed]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher(MANIFESTS, cold=False) as launcher:
        yield launcher


def spread(impl: str, workload: str, devices: int, norm_groups: int, optimizer: str | None = None) -> Cell:
    """A float64 cell on emulated devices."""
    choice = Choice(impl=(impl,), workload=(workload,), size="tiny", precision=("fp64",), optimizer=optimizer)
    (cell,) = plan.plan_cells(choice, MANIFESTS)
    per_device = cell.global_batch // devices
    return replace(cell, devices=devices, batch_per_device=per_device, norm_groups=norm_groups, engine="distributed")


def trace(launcher: Launcher, cell: Cell, folder: Path) -> Trace:
    request = Request(cell=cell, task="trace", folder="", threads=2, cpus=())
    return proofs.run_trace(launcher, cell, STEPS, request, 120.0, folder / "log")


def difference(launcher: Launcher, cell: Cell, folder: Path) -> parity.Difference:
    """Between a cell and the same implementation on one device, without an engine for several."""
    workload = workloads.get(cell.workload, cell.size, cell.global_batch)
    found, one = trace(launcher, cell, folder), trace(launcher, cell.on_one_device(), folder)
    assert not found.copies, "devices hold different parameters"
    return parity.compare(one, found, workload.param_specs(), workload.optimizer(cell.optimizer).lr)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(("devices", "norm_groups"), [(1, 1), (2, 4), (3, 3)])
def test_batch_norm_in_groups(launcher: Launcher, tmp_path: Path, impl: str, devices: int, norm_groups: int) -> None:
    assert difference(launcher, spread(impl, "gan", devices, norm_groups), tmp_path).largest < 1e-11


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(
    ("workload", "optimizer"), [("lm", None), ("autoencoder", "rmsprop"), ("autoencoder", "sgd+clip")]
)
def test_other_workloads_and_optimizers(
    launcher: Launcher, tmp_path: Path, impl: str, workload: str, optimizer: str | None
) -> None:
    assert difference(launcher, spread(impl, workload, 2, 2, optimizer), tmp_path).largest < 1e-11


@pytest.mark.parametrize("impl", IMPLS)
def test_eight_devices(launcher: Launcher, tmp_path: Path, impl: str) -> None:
    assert difference(launcher, spread(impl, "autoencoder", 8, 8), tmp_path).largest < 1e-11


@pytest.mark.parametrize("impl", IMPLS)
def test_norm_groups_matter(launcher: Launcher, tmp_path: Path, impl: str) -> None:
    """The comparison above can fail: statistics over all samples are another function than over each device's."""
    cell = spread(impl, "gan", 2, 2)
    whole = trace(launcher, replace(cell.on_one_device(), norm_groups=1), tmp_path)
    workload = workloads.get("gan", "tiny", cell.global_batch)
    found = parity.compare(whole, trace(launcher, cell, tmp_path), workload.param_specs(), 1e-4)
    assert found.largest > 1e-6
