"""Real runs, everything that the fuzzer ever found, and a few changes of JSON: read without anything but WrongInput."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import store
from report import html
from tests.fuzz import target
from tests.fuzz.mutations import mutated

SEEDS = list(target.seeds())
FOUND = sorted(path for path in target.FINDINGS.iterdir() if path.suffix == ".jsonl")


@pytest.fixture(autouse=True)
def small_pages() -> Iterator[None]:
    plotly = html.plotly_js
    target.without_plotly()
    yield
    html.plotly_js = plotly


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_real_runs_are_read_whole(seed: bytes, tmp_path: Path) -> None:
    assert len(store.load(target.written(tmp_path / "run", seed)).records) == seed.count(b"\n") - 1
    target.read(seed)


@pytest.mark.parametrize("path", FOUND, ids=[path.stem for path in FOUND])
def test_what_was_found_stays_mended(path: Path) -> None:
    target.read(path.read_bytes())


@pytest.mark.parametrize("number", range(12))
def test_changes_of_json_are_no_obstacle(number: int) -> None:
    target.read(mutated(SEEDS[number % len(SEEDS)], number, at_most=30))


def test_a_seed_makes_the_same_change_again() -> None:
    assert mutated(SEEDS[0], 7) == mutated(SEEDS[0], 7) != mutated(SEEDS[0], 8)


def test_what_the_target_does_not_expect_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer can fail."""
    monkeypatch.setattr(html, "pack", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        target.read(SEEDS[0])
