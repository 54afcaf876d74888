"""A scratch folder is a dead runner's when nobody holds its lock."""

import os
import tempfile
from pathlib import Path

import pytest

from bench import scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_that_is_held_stays_and_another_goes(temporary: Path) -> None:
    folder, held = scratch.make()
    (folder / "file").touch()
    scratch.remove_dead()
    assert (folder / "file").exists()
    os.close(held)
    scratch.remove_dead()
    assert not list(temporary.iterdir())


def test_what_is_no_folder_of_a_runner_stays(temporary: Path) -> None:
    aside = temporary / "aside"
    aside.mkdir()
    (aside / "file").touch()
    (temporary / "samestep-link").symlink_to(aside)
    (temporary / "samestep-file").touch()
    scratch.remove_dead()
    assert (aside / "file").exists()
    assert sorted(path.name for path in temporary.iterdir()) == ["aside", "samestep-file", "samestep-link"]
