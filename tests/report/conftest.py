"""Sample runs on disk, and one browser for the whole session."""

from pathlib import Path

import pytest

from tests.report import samples


@pytest.fixture
def good_run(tmp_path: Path) -> Path:
    return samples.write_run(tmp_path / "good", samples.all_ok())


@pytest.fixture
def mixed_run(tmp_path: Path) -> Path:
    return samples.write_run(tmp_path / "mixed", samples.mixed())
