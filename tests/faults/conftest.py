"""Gathers what was tried and what came of it, for the table in docs/reliability.md: `scripts/faults.py` writes it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.place import Place

BUILD = Path(__file__).parents[2] / "build"
TRIED: dict[str, dict[str, object]] = {}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(root=tmp_path)


@pytest.fixture
def tried() -> Callable[..., None]:
    """Told at the end of a test that has passed: the fault, what came of it, and how often that was seen."""

    def tell(fault: str, outcome: str, times: int = 1) -> None:
        before = TRIED.setdefault(fault, {"times": 0, "outcome": outcome})
        assert before["outcome"] == outcome
        before["times"] = int(str(before["times"])) + times

    return tell


def pytest_sessionfinish() -> None:
    if TRIED:
        BUILD.mkdir(exist_ok=True)
        file = BUILD / f"faults-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}.json"  # of each process of a suite
        file.write_text(json.dumps(TRIED, indent=1, sort_keys=True) + "\n")
