"""Several emulated devices compute what one does, in float64, and no device holds another state than the rest.

Here where a device has several norm groups, and with optimizers that divide or clip by sums over all devices; `bench
verify` has the rest, and `tests/mutations` shows that the comparison can fail.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import manifests
from bench.launch import Launcher
from tests.parity.devices import MANIFESTS, cell_of, difference, sockets

pytestmark = pytest.mark.long

IMPLS = [name for name in manifests.BUILT_IN if MANIFESTS[name].installed]
CASES = [  # workload, optimizer, devices, norm groups
    ("gan", "adam", 1, 4),  # it alone has batch norm, and two updates a step
    ("gan", "adam", 2, 4),
    ("autoencoder", "sgd+clip", 3, 3),  # a norm that clips is that of the averaged gradients
    ("autoencoder", "rmsprop", 2, 2),
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


@pytest.mark.parametrize("impl", [name for name in IMPLS if not MANIFESTS[name].process_per_device])
def test_one_process_for_all_devices_opens_no_socket(launcher: Launcher, tmp_path: Path, impl: str) -> None:
    outcome, seen = sockets(launcher, cell_of(impl, "autoencoder", 2, 2, "fp32"), tmp_path / "cell")
    assert outcome.ok, outcome.fields["reason"]
    assert not seen
