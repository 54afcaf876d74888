"""Several emulated devices compute what one does, in float64, and no device holds another state than the rest."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import manifests, workloads
from bench.launch import Launcher
from bench.proof import parity
from tests.parity.devices import MANIFESTS, cell_of, difference, sockets, trace

pytestmark = pytest.mark.long

IMPLS = [name for name in manifests.BUILT_IN if MANIFESTS[name].installed]
CASES = [  # workload, optimizer, devices, norm groups
    ("gan", "adam", 1, 4),  # it alone has batch norm, and two updates a step
    ("gan", "adam", 2, 4),
    ("gan", "adam", 3, 3),
    ("gan", "adam", 8, 8),
    ("autoencoder", "sgd+clip", 3, 3),  # a norm that clips is that of the averaged gradients
    ("autoencoder", "rmsprop", 2, 2),
    ("lm", "adamw", 2, 2),
]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher(MANIFESTS, cold=False) as launcher:
        yield launcher


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(("workload", "optimizer", "devices", "norm_groups"), CASES)
def test_devices_compute_the_step_of_one(
    launcher: Launcher, impl: str, workload: str, optimizer: str, devices: int, norm_groups: int
) -> None:
    cell = cell_of(impl, workload, devices, norm_groups, optimizer=optimizer)
    found = difference(launcher, cell)
    assert found.largest < 1e-11, found


@pytest.mark.parametrize("impl", IMPLS)
def test_norm_groups_matter(launcher: Launcher, impl: str) -> None:
    """The comparison above can fail: statistics over all samples are another function than over each device's."""
    cell = cell_of(impl, "gan", 2, 2)
    whole = trace(launcher, replace(cell.on_one_device(), norm_groups=1))
    workload = workloads.get("gan", "tiny", cell.global_batch)
    found = parity.compare(whole, trace(launcher, cell), workload.param_specs(), 1e-4)
    assert found.largest > 1e-6


@pytest.mark.parametrize("impl", [name for name in IMPLS if not MANIFESTS[name].process_per_device])
def test_one_process_for_all_devices_opens_no_socket(launcher: Launcher, tmp_path: Path, impl: str) -> None:
    outcome, seen = sockets(launcher, cell_of(impl, "autoencoder", 2, 2, "fp32"), tmp_path / "cell")
    assert outcome.ok and not seen, (outcome, seen)
