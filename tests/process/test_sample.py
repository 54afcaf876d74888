"""What continuous integration proves anew, and what it takes over: on two copies of the fake framework."""

import copy
import importlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.proof import cache, groups, proofs
from scripts.sample import prove_sample
from scripts.tables import kept

CHOICE = Choice(workload=("autoencoder",), variant=("plain",))
TINY = replace(CHOICE, size="tiny")
ROWS = 4 * 4 + 6 * 2  # four sizes in two precisions, six other optimizers in float64, of two frameworks each
DRAWN = 2  # of ten groups: one of the workload, and a tenth
FAKES = {name: read(name, "tests.fake") for name in ("a", "b")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `make proofs` ships of these frameworks; without anything shipped all of it is proven."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMESTEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(cache, "shipped", lambda kind: {})
        assert prove_sample(CHOICE, "a commit", FAKES) == []
        return {kind: kept(kind) for kind in (groups.KIND, "proofs")}


@pytest.fixture
def shipped(made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ships in a test, to be changed there."""
    content = copy.deepcopy(made)
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "shipped", lambda kind: content[kind])
    return content


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Manifest]:
    """The same frameworks; the source of `b` lies in a folder of its own, where it may be edited."""
    package = f"sampled_{tmp_path.name.replace('-', '_')}"
    shutil.copytree(FAKES["b"].folder, tmp_path / "code" / package)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    importlib.invalidate_caches()
    return {"a": FAKES["a"], "b": read("b", package)}


def proven(
    capsys: pytest.CaptureFixture[str], choice: Choice = CHOICE, fakes: Mapping[str, Manifest] = FAKES
) -> tuple[int, int, int, list[str]]:
    """Rows that were taken over, rows that had no valid result, rows that were drawn, and what is wrong."""
    faults = prove_sample(choice, "a commit", fakes)
    over, anew, without, drawn = (int(word) for word in capsys.readouterr().out.split() if word.isdecimal())
    assert anew == without + drawn
    return over, without, drawn, faults


def test_without_shipped_results_everything_is_proven(made: dict[str, Any]) -> None:
    assert sum(len(group["rows"]) for group in made[groups.KIND].values()) == ROWS


def test_a_shipped_result_is_taken_over_but_for_the_sample(
    shipped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    over, without, drawn, faults = proven(capsys)
    assert without == 0 and 2 * DRAWN <= drawn <= 4 * DRAWN and over == ROWS - drawn and faults == []


def test_a_changed_byte_of_a_source_has_it_proven_anew(
    shipped: dict[str, Any], edited: dict[str, Manifest], capsys: pytest.CaptureFixture[str]
) -> None:
    assert proven(capsys, TINY, edited) == (0, 0, 4, [])  # a copy is as good as the source itself
    with (edited["b"].folder / "autoencoder.py").open("a") as file:
        file.write("#")
    proofs.hash_of.cache_clear()  # as in another process
    assert proven(capsys, TINY, edited) == (0, 4, 0, [])


def test_a_changed_source_that_computes_something_else_fails(
    shipped: dict[str, Any], edited: dict[str, Manifest], capsys: pytest.CaptureFixture[str]
) -> None:
    path = edited["b"].folder / "autoencoder.py"
    path.write_text(path.read_text().replace("0.99 if", "0.98 if"))
    over, without, drawn, faults = proven(capsys, TINY, edited)
    assert (over, without, drawn) == (0, 4, 0) and len(faults) == 4


def test_a_wrong_shipped_result_is_found_where_it_is_drawn(
    shipped: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for group in shipped[groups.KIND].values():
        for row in group["rows"].values():
            row["against"] = "another"
    over, _, drawn, faults = proven(capsys)
    assert over > 0 and len(faults) == drawn


def test_a_process_that_runs_steps_wrongly_is_found_by_the_sample(
    shipped: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-step")  # no source differs
    over, _, drawn, faults = proven(capsys)
    assert over > 0 and len(faults) == drawn
