"""What a proof depends on."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import manifests
from bench.proof import proofs


@pytest.fixture
def copied(tmp_path: Path) -> Any:
    """An implementation whose files may be edited, as far as its source is asked for."""
    folder = shutil.copytree(manifests.read("fake", "tests.fake").folder, tmp_path / "fake")
    return SimpleNamespace(folder=folder)


def test_an_edit_during_a_run_is_not_taken_for_what_ran(copied: Any) -> None:
    before = proofs.source_hash(copied, "autoencoder")
    (copied.folder / "backend.py").write_text("other = True\n")
    assert proofs.source_hash(copied, "autoencoder") == before
    proofs.hash_of.cache_clear()  # as in another process
    assert proofs.source_hash(copied, "autoencoder") != before


def test_another_workload_s_file_does_not_count(copied: Any) -> None:
    before = proofs.source_hash(copied, "gan")
    proofs.hash_of.cache_clear()
    (copied.folder / "autoencoder.py").write_text("other = True\n")
    assert proofs.source_hash(copied, "gan") == before
