"""`bench run --find-max-batch` whole: a fake framework that takes memory for each sample, under a real limit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import record, run, search, settings, store
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.record import Record
from bench.settings import Settings
from bench.spec import Cell, WrongInput
from report import page

FAKES: dict[str, Manifest] = {"a": read("a", "tests.fake")}
CHOICE = Choice(workload=("autoencoder",), precision=("fp32",), batch=16)
SAMPLE = 8 * 2**20  # bytes that a step takes for each
LIMIT = 20 * SAMPLE


@pytest.fixture(autouse=True)
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_PER_SAMPLE", str(SAMPLE))
    monkeypatch.setenv("FAKE_LIMIT", str(LIMIT))


def find(folder: Path, choice: Choice = CHOICE, most: int = search.MOST, **others: object) -> tuple[int, list[Record]]:
    settings = Settings(min_time_s=0.01, out=folder, report=False, ceilings=False, find_max_batch=most)
    code = run.run(choice, replace(settings, **others), FAKES)
    return code, store.load(folder).records


def test_the_largest_batch_that_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, records = find(tmp_path / "run")
    assert code == 0  # batches that did not fit are part of the answer
    told = {search.batch_of(one): one["status"] for one in records}
    assert len(told) == len(records) <= search.tries(16, 1, search.MOST) and set(told.values()) == {"ok", "oom"}
    (answer,) = search.answers(records)
    assert answer.largest and answer.smallest
    fits, fails = search.batch_of(answer.largest), search.batch_of(answer.smallest)
    assert 16 <= fits < fails <= fits + 1 <= 21  # what else a cell takes is less than four samples
    for one in records:
        assert tuple(one) == record.FIELDS and one["repeat"] == 0
        assert one["cell"]["global_batch"] == search.batch_of(one) == one["items_per_step"]
        assert one["parity"]["verdict"] == "unchecked" and one["parity"]["proof"] is None
        if one["status"] == "ok":
            assert "compares no trajectories" in one["parity"]["reason"] and one["windows"] and one["memory_bytes"]
        else:
            assert "Unable to allocate" in one["reason"]
    meta = store.load(tmp_path / "run").meta
    assert (meta["find_max_batch"], meta["repeats"]) == (2**20, 1)
    assert meta["plan"] == [records[0]["cell_id"]]
    shown = capsys.readouterr()
    assert str(fits) in shown.out and str(fails) in shown.out and "batch 32 round 1: oom" in shown.err


def test_the_bound_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, records = find(tmp_path / "run", replace(CHOICE, batch=4), most=9)
    assert code == 0 and [search.batch_of(one) for one in records] == [4, 8, 9]
    assert "9 (the bound: no more was" in capsys.readouterr().out


def test_nothing_that_fits_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PER_SAMPLE", str(2 * LIMIT))
    code, records = find(tmp_path / "run", replace(CHOICE, batch=2))
    assert code == 1 and [(search.batch_of(one), one["status"]) for one in records] == [(2, "oom"), (1, "oom")]


def test_another_failure_is_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-step")
    code, records = find(tmp_path / "run")
    assert code == 1 and [one["status"] for one in records] == ["crashed"]
    assert "crashed at 16" in capsys.readouterr().out


def test_several_devices_are_searched_for_the_batch_of_one(tmp_path: Path) -> None:
    """Of two ranks each maps for itself; the kinds of cells that a sweep has are searched one after another."""
    code, records = find(tmp_path / "run", replace(CHOICE, batch=1, devices=2), most=2)
    assert code == 0
    tried = [(one["cell"]["devices"], one["cell"]["engine"], search.batch_of(one)) for one in records]
    assert tried == [
        (1, "plain", 1), (1, "plain", 2), (1, "distributed", 1), (1, "distributed", 2), (2, "distributed", 1),
        (2, "distributed", 2),
    ]  # fmt: skip
    assert all(
        Cell(**one["cell"]).global_batch == devices * batch
        for one, (devices, _, batch) in zip(records, tried, strict=True)
    )


def test_what_cannot_run_here_is_no_failure(tmp_path: Path) -> None:
    code, records = find(tmp_path / "run", Choice(workload=("lm",), precision=("fp32",)))
    assert code == 0 and [one["status"] for one in records] == ["unsupported"]


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    _, records = find(tmp_path / "run")
    path = tmp_path / "run" / store.RECORDS_FILE
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:3]) + "\n")
    assert run.resume(tmp_path / "run", FAKES, report=False, ceilings=False) == 0
    after = store.load(tmp_path / "run").records
    assert [json.loads(line) for line in lines[:3]] == after[:3]
    assert [one["cell_id"] for one in after] == [one["cell_id"] for one in records]


def test_its_report_ranks_no_batch_against_another(tmp_path: Path) -> None:
    find(tmp_path / "run", replace(CHOICE, batch=4), most=9)
    page.write([tmp_path / "run"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "nothing to compare it with" in text and "is fastest" not in text
    assert all(f"batch {batch}" in text for batch in (4, 8, 9))


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    for wrong in (
        Settings(find_max_batch=0),
        Settings(find_max_batch=9, a_a=True),
        Settings(find_max_batch=9, target_ci=0.1),
    ):
        with pytest.raises(WrongInput):
            settings.check(wrong)
    for choice in (replace(CHOICE, scaling="strong", devices=2), replace(CHOICE, batch=10)):
        with pytest.raises(WrongInput):
            find(tmp_path / "run", choice, most=9)
    assert not (tmp_path / "run").exists()


def test_dry_run_tells_the_tries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.dry_run(CHOICE, Settings(out=tmp_path / "run", find_max_batch=64), FAKES)
    shown = capsys.readouterr()
    assert "tries at most" in shown.out and "ready" in shown.out and "5 min 00 s at most" in shown.err
    assert not (tmp_path / "run").exists()
