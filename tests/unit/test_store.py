"""The store: appended whole, torn lines skipped, nothing overwritten, wrong folders named."""

import json
from pathlib import Path

import pytest

from bench import record, store
from bench.spec import WrongInput
from tests.unit.test_record import failed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store.create(tmp_path / "run", {"schema": record.SCHEMA, "command": ["x"]})


def test_round_trip(folder: Path) -> None:
    for status in ("crashed", "oom"):
        store.append(folder, failed(status))
    run = store.load(folder)
    assert run.name == "run" and run.meta["command"] == ["x"]
    assert [found["status"] for found in run.records] == ["crashed", "oom"]


def test_a_new_run_is_empty(folder: Path) -> None:
    assert store.load(folder).records == []


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_torn_last_line_is_skipped_with_a_warning(folder: Path, cut: int) -> None:
    store.append(folder, failed())
    store.append(folder, failed("oom"))
    path = folder / store.RECORDS_FILE
    path.write_bytes(path.read_bytes()[: -cut - 1])
    with pytest.warns(UserWarning, match="line 2 is no whole record"):
        run = store.load(folder)
    assert [found["status"] for found in run.records] == ["crashed"]


def test_binary_in_the_file_is_skipped(folder: Path) -> None:
    store.append(folder, failed())
    with (folder / store.RECORDS_FILE).open("ab") as file:
        file.write(b"\xff\x00\x81\n")
    with pytest.warns(UserWarning, match="no whole record"):
        assert len(store.load(folder).records) == 1


def test_existing_folders_are_not_touched(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine").write_text("precious")
    file = tmp_path / "file"
    file.write_text("precious")
    for target, word in ((folder, "holds a run already"), (other, "is no run"), (file, "is no run")):
        with pytest.raises(WrongInput, match=word):
            store.create(target, {})
    assert (other / "mine").read_text() == file.read_text() == "precious"


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert store.create(tmp_path / "empty", {"schema": 1}) == tmp_path / "empty"


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_what_is_no_run_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(WrongInput, match="is no run"):
        store.load(tmp_path / name)


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_unreadable_run_is_named(folder: Path, text: str) -> None:
    (folder / store.RUN_FILE).write_text(text)
    with pytest.raises(WrongInput, match="cannot read the run"):
        store.load(folder)


@pytest.mark.parametrize("schema", [record.SCHEMA + 1, "1", None])
def test_newer_schema_is_refused(folder: Path, schema: object) -> None:
    (folder / store.RUN_FILE).write_text(json.dumps({"schema": schema}))
    with pytest.raises(WrongInput, match="schema"):
        store.load(folder)


def test_newer_record_is_refused(folder: Path) -> None:
    store.append(folder, failed() | {"schema": record.SCHEMA + 1})
    with pytest.raises(WrongInput, match="update samestep"):
        store.load(folder)
