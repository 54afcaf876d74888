"""What the devices attain, measured once a run by real processes of the fake framework."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import attainable, ceilings, merge, run, store
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.settings import Settings

FAKES: dict[str, Manifest] = {name: read(name, "tests.fake") for name in ("a", "b")}
CHOICE = Choice(workload=("autoencoder",), precision=("fp32", "fp64"), devices=2)
WINDOW = {"count", "seconds", "foreign_cpu_s", "steal_s", "cpu_s"}
WHOLE = [("a", "fp32"), ("a", "fp64"), ("b", "fp32"), ("b", "fp64")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache, and a run beside it."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMESTEP_CACHE", str(place / "cache"))
        assert run.run(CHOICE, settings(place / "run"), FAKES) == 0
        yield place


def settings(folder: Path, **changed: Any) -> Settings:
    return Settings(repeats=1, min_time_s=0.01, out=folder, report=False, **changed)


def held(folder: Path) -> list[dict[str, Any]]:
    return store.load(folder).meta["ceilings"]


def whose(folder: Path) -> list[tuple[str, str]]:
    return sorted((one["impl"], one["precision"]) for one in held(folder))


def test_each_way_is_measured_once_on_one_device(place: Path) -> None:
    assert whose(place / "run") == WHOLE
    cpu = store.load(place / "run").meta["machine"]["cpu"]
    for one in held(place / "run"):
        assert set(one) == {"impl", "variant", "platform", "precision", "device", "matmul", "copy"}
        assert (one["variant"], one["platform"], one["device"]) == ("plain", "cpu", cpu)
        for windows in (one["matmul"]["windows"], one["copy"]["windows"]):
            assert len(windows) == ceilings.WINDOWS
            assert all(set(window) == WINDOW and window["seconds"] >= 0.04 for window in windows)
    found = attainable.best(store.load(place / "run").meta)
    assert set(found) == {(cpu, "fp32"), (cpu, "fp64")}
    assert all(one.flops_per_s and one.copy_bytes_per_s for one in found.values())


@pytest.fixture
def copied(place: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(place / "run", tmp_path / "run"))


def test_a_run_that_goes_on_measures_what_is_missing(copied: Path) -> None:
    meta = json.loads((copied / store.RUN_FILE).read_text())
    kept, failed = meta["ceilings"][0], {**meta["ceilings"][1], "status": "oom", "reason": "no memory"}
    store.write_meta(copied, {**meta, "ceilings": [kept, failed]})
    assert run.resume(copied, FAKES, report=False) == 0
    assert held(copied)[0] == kept and whose(copied) == WHOLE
    assert all("status" not in one for one in held(copied)), "one that failed is tried again"
    before = held(copied)
    assert run.resume(copied, FAKES, report=False) == 0
    assert held(copied) == before


@pytest.mark.usefixtures("place")
def test_a_ceiling_that_fails_is_a_word_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-ceiling")
    assert run.run(replace(CHOICE, impl=("a",), precision=("fp32",)), settings(tmp_path / "run"), FAKES) == 0
    (one,) = held(tmp_path / "run")
    assert one["status"] == "crashed" and "the fault that was asked for" in one["reason"]
    assert "matmul" not in one and len(store.load(tmp_path / "run").records) == 3
    assert attainable.best(store.load(tmp_path / "run").meta) == {}


@pytest.mark.usefixtures("place")
def test_they_are_left_out_when_asked_and_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(CHOICE, impl=("a",), precision=("fp32",), devices=1)
    run.run(one, settings(tmp_path / "asked", ceilings=False), FAKES)
    run.run(one, settings(tmp_path / "search", find_max_batch=64), FAKES)
    monkeypatch.setattr(Manifest, "has", lambda self, name: name == "autoencoder")
    run.run(one, settings(tmp_path / "none"), FAKES)
    assert all("ceilings" not in store.load(folder).meta for folder in tmp_path.iterdir())


def test_a_merged_run_has_those_of_all(copied: Path, tmp_path: Path) -> None:
    second = Path(shutil.copytree(copied, tmp_path / "second"))
    lines = [json.loads(line) for line in (second / store.RECORDS_FILE).read_text().splitlines()]
    text = "".join(json.dumps(line | {"started_at": "2026-01-01T00:00:00+00:00"}) + "\n" for line in lines)
    (second / store.RECORDS_FILE).write_text(text)
    merge.merge([copied, second], tmp_path / "out")
    assert held(tmp_path / "out") == [*held(copied), *held(second)]
