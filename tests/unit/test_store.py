"""The store: appended whole, torn lines skipped, nothing overwritten, wrong folders named."""

import errno
import io
import json
from pathlib import Path
from typing import Any

import pytest

from bench import record, store
from bench.spec import WrongInput
from tests.unit.test_record import failed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store.create(tmp_path / "run", {"schema": record.SCHEMA, "command": ["x"]})


def append(folder: Path, *records: record.Record) -> None:
    with store.writing(folder) as journal:
        for one in records:
            journal.append(one)


def process(repeat: int, reason: str = "why") -> record.Record:
    """A record of a process that is known by its repeat."""
    return failed() | {"run": "run", "repeat": repeat, "reason": reason}


def test_round_trip(folder: Path) -> None:
    append(folder, failed("crashed"), failed("oom"))
    run = store.load(folder)
    assert run.name == "run" and run.meta["command"] == ["x"]
    assert [found["status"] for found in run.records] == ["crashed", "oom"]


def test_a_new_run_is_empty(folder: Path) -> None:
    assert store.load(folder).records == []


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_torn_last_line_is_skipped_with_a_warning(folder: Path, cut: int) -> None:
    append(folder, failed(), failed("oom"))
    path = folder / store.RECORDS_FILE
    path.write_bytes(path.read_bytes()[: -cut - 1])
    with pytest.warns(UserWarning, match="line 2 is no whole record"):
        run = store.load(folder)
    assert [found["status"] for found in run.records] == ["crashed"]


def test_binary_in_the_file_is_skipped(folder: Path) -> None:
    append(folder, failed())
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
    append(folder, failed() | {"schema": record.SCHEMA + 1})
    with pytest.raises(WrongInput, match="update samestep"):
        store.load(folder)


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_torn_line_does_not_take_the_next_record_with_it(folder: Path, cut: int) -> None:
    append(folder, failed(), failed("oom"))
    path = folder / store.RECORDS_FILE
    path.write_bytes(path.read_bytes()[: -cut - 1])
    append(folder, failed("timeout"))
    with pytest.warns(UserWarning, match="line 2 is no whole record"):
        run = store.load(folder)
    assert [found["status"] for found in run.records] == ["crashed", "timeout"]


def test_one_runner_alone_writes(folder: Path) -> None:
    with store.writing(folder) as journal:
        with pytest.raises(WrongInput, match="another runner is measuring into"), store.writing(folder):
            pass
        journal.append(failed())
    append(folder, failed("oom"))
    assert len(store.load(folder).records) == 2


class Full(io.FileIO):
    """A file on a disk that takes 100 more bytes."""

    room = 100

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(bytes(data)[: self.room])
        self.room -= written
        return written


def test_a_full_disk_leaves_whole_records(folder: Path) -> None:
    append(folder, failed())
    path = folder / store.RECORDS_FILE
    before = path.read_bytes()
    with Full(path, "a+") as file, pytest.raises(store.CannotWrite, match="No space left on device"):
        store.Journal(folder=folder, file=file).append(failed("oom"))  # type: ignore[arg-type]
    assert path.read_bytes() == before


def test_run_json_is_whole_or_as_it_was(folder: Path) -> None:
    with pytest.raises(TypeError):
        store.write_meta(folder, {"not": object()})
    assert store.load(folder).meta["command"] == ["x"]
    store.write_meta(folder, {"schema": 1, "command": ["y"]})
    assert store.load(folder).meta["command"] == ["y"]
    assert sorted(path.name for path in folder.iterdir()) == [store.LOGS, store.RUN_FILE]


def test_what_a_runner_left_that_was_killed_at_once_is_no_run_yet(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    (begun / store.LOGS).mkdir(parents=True)
    (begun / f"{store.RUN_FILE}.part").write_text("{")
    assert store.load(store.create(begun, {"schema": record.SCHEMA})).records == []
    logged = tmp_path / "logged"
    (logged / store.LOGS).mkdir(parents=True)
    (logged / store.LOGS / "mine").write_text("precious")
    with pytest.raises(WrongInput, match="is no run"):
        store.create(logged, {})


def test_run_json_is_not_written_through_a_link(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (folder / f"{store.RUN_FILE}.part").symlink_to(mine)
    store.write_meta(folder, {"schema": record.SCHEMA})
    assert mine.read_text() == "precious" and not (folder / store.RUN_FILE).is_symlink()


def told(folder: Path) -> list[tuple[int, str]]:
    return [(one["repeat"], one["reason"]) for one in store.load(folder).records]


def test_the_last_line_of_a_process_counts_at_the_place_of_its_first(folder: Path) -> None:
    append(folder, process(0, "first"), process(1), process(0, "second"), process(2), process(0, "last"))
    assert told(folder) == [(0, "last"), (1, "why"), (2, "why")]


def test_a_torn_last_line_leaves_the_line_before_it(folder: Path) -> None:
    append(folder, process(0, "first"), process(1), process(0, "second"))
    path = folder / store.RECORDS_FILE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(UserWarning, match="line 3 is no whole record"):
        assert told(folder) == [(0, "first"), (1, "why")]


@pytest.mark.parametrize("odd", [{"run": None}, {"run": ["run"]}, {"repeat": None}, {"repeat": "0"}, {"repeat": True}])
def test_records_that_name_no_process_are_all_kept(folder: Path, odd: dict[str, Any]) -> None:
    append(folder, process(0) | odd, process(0) | odd)
    assert len(store.load(folder).records) == 2


def test_other_runs_cells_and_repeats_are_other_processes(folder: Path) -> None:
    others: list[dict[str, Any]] = [{"run": "other"}, {"cell_id": "1"}, {"repeat": 1}]
    append(folder, process(0), *(process(0) | one for one in others))
    assert len(store.load(folder).records) == 4


def test_a_settled_file_has_one_line_a_process(folder: Path) -> None:
    with store.writing(folder) as journal:
        for one in (process(0, "first"), process(1), process(0, "last")):
            journal.append(one)
        untouched = (folder / store.RECORDS_FILE).read_bytes().splitlines()[1]
        journal.settle([process(0, "judged")])
        journal.append(process(2, "after it"))
    lines = (folder / store.RECORDS_FILE).read_bytes().splitlines()
    assert told(folder) == [(0, "judged"), (1, "why"), (2, "after it")]
    assert len(lines) == 3 and lines[1] == untouched
    assert sorted(path.name for path in folder.iterdir()) == [store.LOGS, store.RECORDS_FILE, store.RUN_FILE]


def test_settling_leaves_out_what_is_no_record(folder: Path) -> None:
    append(folder, process(0))
    with (folder / store.RECORDS_FILE).open("ab") as file:
        file.write(b'{"torn')
    with store.writing(folder) as journal:
        journal.settle([])
    assert told(folder) == [(0, "why")]  # a warning would be an error


def test_settling_keeps_records_of_an_older_schema_as_they_are(folder: Path) -> None:
    append(folder, process(0) | {"schema": 1}, process(1))
    before = (folder / store.RECORDS_FILE).read_bytes().splitlines()
    with store.writing(folder) as journal:
        journal.settle([process(1, "judged")])
    after = (folder / store.RECORDS_FILE).read_bytes().splitlines()
    assert after[0] == before[0] and after[1] != before[1]


def test_a_settled_run_is_locked_still(folder: Path) -> None:
    with store.writing(folder) as journal:
        journal.append(process(0))
        journal.settle([process(0, "judged")])
        with pytest.raises(WrongInput, match="another runner is measuring into"), store.writing(folder):
            pass
    with store.writing(folder):
        pass


def test_a_runner_that_waited_at_the_old_file_writes_to_the_new_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens the file; before it locks it, the first runner settles the run and ends."""
    append(folder, process(0))
    whole = store.locked

    def late(file: Any) -> bool:
        monkeypatch.setattr(store, "locked", whole)
        with store.writing(folder) as first:
            first.settle([process(0, "judged")])
        return whole(file)

    monkeypatch.setattr(store, "locked", late)
    append(folder, process(1))
    assert told(folder) == [(0, "judged"), (1, "why")]


def test_a_full_disk_leaves_the_file_that_there_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(folder, process(0), process(1))
    path = folder / store.RECORDS_FILE
    before = path.read_bytes()
    whole = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", **kw: Full(self, mode) if mode == "x+b" else whole(self, mode, **kw)
    )
    with store.writing(folder) as journal:
        with pytest.raises(store.CannotWrite, match="No space left on device; all that was measured is kept"):
            journal.settle([process(0, "judged")])
        assert path.read_bytes() == before and not path.with_name(f"{path.name}.part").exists()
        journal.append(process(2))
    assert told(folder) == [(0, "why"), (1, "why"), (2, "why")]


def test_what_a_killed_runner_left_of_settling_is_no_hindrance(folder: Path, tmp_path: Path) -> None:
    append(folder, process(0))
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (folder / f"{store.RECORDS_FILE}.part").symlink_to(mine)
    with store.writing(folder) as journal:
        journal.settle([process(0, "judged")])
    assert told(folder) == [(0, "judged")] and mine.read_text() == "precious"
    assert not (folder / store.RECORDS_FILE).is_symlink()
