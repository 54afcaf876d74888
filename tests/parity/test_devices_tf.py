"""TensorFlow on several devices, emulated here: the function that one device computes with as many norm groups."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest

from bench import manifests, plan, workloads
from bench.launch import Launcher
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.proof import parity, proofs
from bench.proof.parity import Trace
from bench.spec import Cell, Request

STEPS = 20


@pytest.fixture(scope="module")
def launcher() -> Generator[Launcher]:
    with Launcher(manifests.find(), cold=False) as found:
        yield found


def cell_of(
    workload: str, variant: str, devices: int, groups: int, optimizer: str | None = None, size: str = "tiny"
) -> Cell:
    choice = Choice(
        impl=("tf",), variant=(variant,), workload=(workload,), size="tiny", precision=("fp64",), optimizer=optimizer
    )
    (cell,) = plan.plan_cells(choice, manifests.find())
    cell = proofs.at_size(replace(cell, norm_groups=groups), size)
    return replace(cell, devices=devices, batch_per_device=cell.global_batch // devices, engine="distributed")


def request_for(cell: Cell, **others: object) -> Request:
    cores = physical_cores()
    plain = Request(cell=cell, task="trace", folder="", threads=len(cores), cpus=cores)
    return replace(plain, **others)  # pyright: ignore[reportArgumentType]  # names and types are the caller's


def trace(launcher: Launcher, cell: Cell, steps: int = STEPS, **others: object) -> Trace:
    return proofs.run_trace(launcher, cell, steps, request_for(cell, **others), 300.0, launcher.scratch / "log")


def compare(launcher: Launcher, cell: Cell, steps: int = STEPS) -> None:
    one = replace(cell, devices=1, batch_per_device=cell.global_batch, engine="plain")
    spec = workloads.get(cell.workload, cell.size)
    several, whole = trace(launcher, cell, steps), trace(launcher, one, steps)
    found = parity.compare(several, whole, spec.param_specs(), spec.optimizer(cell.optimizer).lr)
    assert found.loss <= 1e-12 and found.param <= 1e-10 and found.slot <= 1e-10, (cell.label, found)
    assert not several.copies, "devices hold other parameters"


@pytest.mark.parametrize(("devices", "groups"), [(1, 1), (3, 3), (8, 8), (2, 4)])
def test_the_gan_is_that_of_one_device(launcher: Launcher, devices: int, groups: int) -> None:
    """It alone has batch norm, so statistics of each device, and two updates."""
    compare(launcher, cell_of("gan", "graph", devices, groups))


@pytest.mark.parametrize("variant", ["graph", "xla"])
@pytest.mark.parametrize("workload", ["autoencoder", "lm"])
def test_so_are_the_others(launcher: Launcher, workload: str, variant: str) -> None:
    compare(launcher, cell_of(workload, variant, 2, 2), STEPS if variant == "graph" else 3)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd+clip", "rmsprop"])
def test_clipping_and_slots_come_after_averaging(launcher: Launcher, optimizer: str) -> None:
    compare(launcher, cell_of("autoencoder", "graph", 2, 2, optimizer), 5)


def test_a_network_with_statistics_in_the_discriminator(launcher: Launcher) -> None:
    compare(launcher, cell_of("gan", "graph", 2, 2, size="base-twin"), 2)


def test_without_exchange_devices_go_apart(launcher: Launcher) -> None:
    """The states that are compared are read from each device: what differs there is seen."""
    cell = cell_of("autoencoder", "graph", 3, 3)
    found = trace(launcher, cell, 2, exchange=False)
    assert len(found.copies) == 2
    assert any(np.any(found.copies[0][name] != found.copies[1][name]) for name in found.state)


def test_fp16_skips_the_same_updates_on_all_devices(launcher: Launcher) -> None:
    """A first scale of 2²⁰ overflows; what is skipped shows that it is halved, and by all devices alike."""
    cell = replace(cell_of("autoencoder", "xla", 2, 2), precision="fp16")
    found = trace(launcher, cell, 12, first_scale=2.0**20)
    assert 0 < found.skipped < 12
    assert not found.copies


def test_what_the_exchange_costs_is_measured(launcher: Launcher) -> None:
    cell = cell_of("autoencoder", "graph", 8, 8)
    cell = replace(cell, precision="fp32", batch_per_device=48, global_batch=8 * 48)
    asked = request_for(
        cell, task="measure", folder=str(launcher.scratch / "measure"), steps=5,
        window_steps=5, min_windows=2, latency_steps=0, min_time_s=0.0,
    )  # fmt: skip
    found = launcher.run(asked, 300.0, launcher.scratch / "log").fields
    assert found["status"] == "ok", (found["reason"], found.get("log_tail"))
    assert len(found["ranks"][0]["device"].split(", ")) == 8
    assert [len(found["windows"]), len(found["communication"]["without_exchange"])] == [2, 2]
    assert [reduced["seconds"] > 0 for reduced in found["communication"]["all_reduce"]] == 4 * [True]
    assert found["optimisations"]["gradient_exchange"] == "MirroredStrategy, 1 all-reduce by ring, not overlapping"
    assert found["optimisations"]["optimizer_kernel"] == "ResourceApplyAdam"
