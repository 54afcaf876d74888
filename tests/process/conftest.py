"""A launcher of the fake framework, which leaves neither a process nor its scratch folder behind."""

from collections.abc import Iterator

import pytest

from bench import metering
from bench.launch import Launcher
from bench.processes import children
from tests.process.test_launch import MANIFESTS


@pytest.fixture(autouse=True)
def _no_rapl(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that counts its energy would have longer cells; tests of energy plant counters of their own."""
    monkeypatch.setattr(metering, "RAPL", ())


@pytest.fixture(params=["fork", "cold"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    before = children()
    with Launcher(MANIFESTS, cold=request.param == "cold") as launcher:
        yield launcher
        scratch = launcher.scratch
    assert children() <= before
    assert not scratch.exists()
