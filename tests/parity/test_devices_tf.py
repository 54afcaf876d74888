"""TensorFlow on several devices: what the exchange is. `bench verify` proves what they compute, in both variants."""

from collections.abc import Generator

import numpy as np
import pytest

from bench import manifests
from bench.launch import Launcher
from tests.parity.devices import cell_of, measurement, trace

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def launcher() -> Generator[Launcher]:
    with Launcher(manifests.find(), cold=False) as found:
        yield found


def test_without_exchange_devices_go_apart(launcher: Launcher) -> None:
    """The states that are compared are read from each device: what differs there is seen."""
    cell = cell_of("tf", "autoencoder", 3, 3)
    found = trace(launcher, cell, 2, exchange=False)
    assert len(found.copies) == 2
    assert any(np.any(found.copies[0][name] != found.copies[1][name]) for name in found.state)


def test_fp16_skips_the_same_updates_on_all_devices(launcher: Launcher) -> None:
    """A first scale of 2²⁰ overflows; what is skipped shows that it is halved, and by all devices alike."""
    cell = cell_of("tf", "autoencoder", 2, 2, "fp16", variant="xla")
    found = trace(launcher, cell, 12, first_scale=2.0**20)
    assert 0 < found.skipped < 12
    assert not found.copies


def test_what_the_exchange_costs_is_measured(launcher: Launcher) -> None:
    cell = cell_of("tf", "autoencoder", 8, 8, "fp32", batch_per_device=48, global_batch=8 * 48)
    asked = measurement(cell, launcher.scratch / "measure")
    found = launcher.run(asked, 300.0, launcher.scratch / "log").fields
    assert found["status"] == "ok", (found["reason"], found.get("log_tail"))
    assert len(found["ranks"][0]["device"].split(", ")) == 8
    assert [len(found["windows"]), len(found["communication"]["without_exchange"])] == [2, 2]
    assert [reduced["seconds"] > 0 for reduced in found["communication"]["all_reduce"]] == 4 * [True]
    assert found["optimisations"]["gradient_exchange"] == "MirroredStrategy, 1 all-reduce by ring, not overlapping"
    assert found["optimisations"]["optimizer_kernel"] == "ResourceApplyAdam"
