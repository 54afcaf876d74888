"""What ships with the package is of this source and these versions; else `make proofs` has to make it anew."""

from pathlib import Path

import pytest

from bench import manifests, plan
from bench.plan import Choice
from bench.proof import cache, drift


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path))


def test_the_drift_of_each_default_cell_is_shipped() -> None:
    found = manifests.find()
    cells = plan.plan_cells(Choice(size="tiny", platform="cpu"), found)
    kept = {cell.label: cache.load("drifts", drift.drift_key(found[cell.impl], cell)) for cell in cells}
    assert len(kept) == 18 and [label for label, one in kept.items() if one is None] == [], "make proofs makes them"
    for one in kept.values():
        assert one is not None
        shares = one["drift"]["rel_loss_diff"]
        assert len(shares) == drift.STEPS and one["drift"]["max_rel_loss_diff"] == max(shares)
        assert 0 < max(shares) < 0.01, "a price of 16 bits, not another trajectory"
        assert all(len(losses) == drift.SHOWN for losses in one["reference_losses"].values())
