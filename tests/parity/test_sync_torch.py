"""The check that waiting really waited, on PyTorch's own work handed to a thread as to a device's queue."""

from typing import Any

import pytest

from tests.parity.test_precision_torch import trials

pytestmark = [pytest.mark.long, pytest.mark.alone]

SYNC = "measured('sync')"
ONE_DOOR = ("measured('sync', 'read')", "measured('sync', 'export')")
PARTLY = ("measured('last', window_s=0.15)", "measured('twentieth', window_s=0.15)")
BOTH_DOORS = "measured('sync', 'read', 'export')"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trials("measured()", SYNC, *ONE_DOOR, *PARTLY, BOTH_DOORS, folder=tmp_path_factory.mktemp("compiled"))


def test_an_honest_device_passes(found: dict[str, Any]) -> None:
    assert found["measured()"]["status"] == "ok", found["measured()"]["reason"]
    assert found["measured()"]["losses"] is None


@pytest.mark.parametrize("trial", [SYNC, *ONE_DOOR])
def test_forgotten_wait_is_invalid(found: dict[str, Any], trial: str) -> None:
    """Also where losses, or else parameters, can be read without waiting: the check reads both."""
    assert found[trial]["status"] == "invalid"
    assert "longer than on an idle device" in found[trial]["reason"]


@pytest.mark.parametrize("trial", PARTLY)
def test_a_wait_that_leaves_out_the_end_of_a_window_is_invalid(found: dict[str, Any], trial: str) -> None:
    """Such as one for another value than the last, or for the first nineteen twentieths of the steps."""
    assert found[trial]["status"] == "invalid"
    assert "longer than on an idle device" in found[trial]["reason"]


def test_forgotten_wait_behind_both_doors_tells_wrong_losses(found: dict[str, Any]) -> None:
    """Then no time is left over to be seen, but what was read is not there yet either: the cell is diverged."""
    assert found[BOTH_DOORS]["losses"] is not None
