"""A run that ended early goes on where it was, measures what is missing and nothing else, and knows what changed."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from bench import record, resume, run, store
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.settings import Settings
from bench.spec import WrongInput

FAKES: dict[str, Manifest] = {name: read(name, "tests.fake") for name in ("a", "b")}
CHOICE = Choice(workload=("autoencoder",), precision=("fp32",))
MEASURED = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]


pytestmark = pytest.mark.filterwarnings("ignore:.*is no whole record")  # the runs here end in the middle of one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache, and a run of six cells beside it."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMESTEP_CACHE", str(place / "cache"))
        settings = Settings(repeats=3, min_time_s=0.01, out=place / "run", report=False, ceilings=False)
        assert run.run(CHOICE, settings, FAKES) == 0
        yield place


@pytest.fixture
def ended(place: Path, tmp_path: Path) -> Path:
    """The same run with two records, and a third that is torn."""
    folder = tmp_path / "run"
    shutil.copytree(place / "run", folder)
    path = folder / store.RECORDS_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:1000])
    return folder


def found(folder: Path) -> list[record.Record]:
    return store.load(folder).records


def measured(folder: Path) -> list[tuple[str, int]]:
    return sorted((one["cell"]["impl"], one["repeat"]) for one in found(folder))


def rewrite(folder: Path, change: Callable[[Any], None]) -> None:
    meta = json.loads((folder / store.RUN_FILE).read_text())
    change(meta)
    (folder / store.RUN_FILE).write_text(json.dumps(meta))


def test_what_is_missing_is_measured_and_nothing_else(ended: Path) -> None:
    before = found(ended)
    assert run.resume(ended, FAKES, report=False, ceilings=False) == 0
    assert found(ended)[:2] == before
    assert measured(ended) == MEASURED
    (again,) = store.load(ended).meta["resumed"]
    assert (again["forced"], again["changes"]) == (False, [])


def test_a_run_that_is_whole_stays_as_it_is(ended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.resume(ended, FAKES, report=False, ceilings=False)
    before = (ended / store.RECORDS_FILE).read_bytes()
    assert run.resume(ended, FAKES, report=False, ceilings=False) == 0
    assert (ended / store.RECORDS_FILE).read_bytes() == before
    assert "proven" in capsys.readouterr().out, "the results of the whole run are shown"


def test_a_part_of_the_plan_can_be_chosen(ended: Path) -> None:
    there = measured(ended)
    assert run.resume(ended, FAKES, choose={"impl": ("a",)}, report=False, ceilings=False) == 0
    assert measured(ended) == sorted({("a", 0), ("a", 1), ("a", 2), *there})
    assert run.resume(ended, FAKES, report=False, ceilings=False) == 0
    assert measured(ended) == MEASURED


@pytest.mark.usefixtures("place")
def test_rounds_of_a_target_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.stats.enough", lambda found, target: found.count >= 4)
    folder, choice = tmp_path / "run", replace(CHOICE, impl=("a",))
    asked = Settings(
        repeats=2, min_time_s=0.01, out=folder, report=False, ceilings=False, target_ci=0.02, max_repeats=9
    )
    run.run(choice, asked, FAKES)
    path = folder / store.RECORDS_FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    run.resume(folder, FAKES, report=False, ceilings=False)
    assert [one["repeat"] for one in found(folder)] == [0, 1, 2, 3]


def newer_numpy(meta: Any) -> None:
    meta["machine"]["python"] = "3.99.1"


def other_cpu(meta: Any) -> None:
    meta["machine"]["cpu"] = "abacus"


def shorter_plan(meta: Any) -> None:
    del meta["plan"][0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (newer_numpy, "machine: python was 3.99.1 and is"),
        (other_cpu, "machine: cpu was abacus and is"),
        (shorter_plan, "1 of the cells asked for are not in its plan"),
    ],
)
def test_what_changed_is_refused_and_can_be_forced(ended: Path, change: Callable[[Any], None], said: str) -> None:
    rewrite(ended, change)
    before = {path: path.read_bytes() for path in ended.iterdir() if path.is_file()}
    with pytest.raises(WrongInput, match=said):
        run.resume(ended, FAKES, report=False, ceilings=False)
    assert {path: path.read_bytes() for path in before} == before
    assert run.resume(ended, FAKES, force=True, report=False, ceilings=False) == 0
    assert measured(ended) == MEASURED
    meta = store.load(ended).meta
    assert meta["resumed"][0]["forced"] is True
    assert said.split(" was ")[0] in meta["resumed"][0]["changes"][0]
    assert len(meta["plan"]) == 2


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("source_hash", "the code of a autoencoder is another"),
        ("spec_hash", "autoencoder tiny with adam trains something else"),
        ("versions", "a: numpy was 0.0 and is"),
        ("schema", f"records have schema 1, and new ones would have {record.SCHEMA}"),
    ],
)
def test_other_mathematics_code_and_software_are_refused(ended: Path, field: str, said: str) -> None:
    path = ended / store.RECORDS_FILE
    one = json.loads(path.read_text().splitlines()[0]) | {field: {"numpy": "0.0"} if field == "versions" else "other"}
    one |= {"schema": 1} if field == "schema" else {}
    one["cell"]["impl"] = "a"
    path.write_text(json.dumps(one) + "\n")
    with pytest.raises(WrongInput, match=said):
        run.resume(ended, FAKES, report=False, ceilings=False)


def test_other_settings_are_another_plan(ended: Path) -> None:
    with pytest.raises(WrongInput, match="repeats was 3 and is 5"):
        run.resume(ended, FAKES, repeats=5, report=False, ceilings=False)
    assert run.resume(ended, FAKES, repeats=4, force=True, report=False, ceilings=False) == 0
    assert measured(ended) == sorted([*MEASURED, ("a", 3), ("b", 3)])
    assert run.resume(ended, FAKES, timeout_s=7.0, report=False, ceilings=False) == 0, (
        "how long a cell may take is no part of it"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.pop("choice"),
        lambda meta: meta.pop("cold"),
        lambda meta: meta.update(choice="all"),
        lambda meta: meta["choice"].update(impl="a"),
        lambda meta: meta["choice"].update(devices=None),
        lambda meta: meta["choice"].update(colour="red"),
    ],
)
def test_a_run_that_does_not_say_what_it_was_asked(ended: Path, change: Callable[[Any], None]) -> None:
    rewrite(ended, change)
    with pytest.raises(WrongInput, match="does not say what it was asked for"):
        run.resume(ended, FAKES)


def test_every_field_of_the_choice_is_known() -> None:
    assert list(resume.CHOICE) == [field.name for field in fields(Choice)]


@pytest.mark.parametrize("odd", [{"cell": {"impl": "a"}}, {"repeat": "0"}, {"versions": None}, {"parity": []}])
def test_odd_records_are_not_gone_on_with(ended: Path, odd: dict[str, Any]) -> None:
    path = ended / store.RECORDS_FILE
    path.write_text(json.dumps(json.loads(path.read_text().splitlines()[0]) | odd) + "\n")
    with pytest.raises(WrongInput, match="holds a record that is not as runs of this version write them"):
        run.resume(ended, FAKES)


def test_two_runners_on_one_run(ended: Path) -> None:
    with store.writing(ended), pytest.raises(WrongInput, match="another runner is measuring into"):
        run.resume(ended, FAKES)
