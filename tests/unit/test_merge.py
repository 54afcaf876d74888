"""`bench merge`: the records of all, rounds that stay apart, and nothing half written."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import cli, merge, record, store
from bench.spec import WrongInput
from bench.stats.compare import compare
from report import page
from report.cells import grouped
from report.frame import frame, rows
from tests.report import samples

IMPLS = ("torch", "jax")


def made(folder: Path, *, impls: tuple[str, ...] = IMPLS, repeats: int = 3, **meta: Any) -> Path:
    """A run of the autoencoder, with a log for each record."""
    found = samples.all_ok(impls, ["autoencoder"], repeats)
    for one in found:
        one["run"] = one["started_at"] = folder.name
    samples.write_run(folder, found, **meta)
    for one in found:
        (folder / "logs" / f"{one['cell_id']}-{one['repeat']}.log").write_text(f"{folder.name} {one['repeat']}")
    (folder / "logs" / "trace.log").write_text(folder.name)
    return folder


def bench(*arguments: Any) -> int:
    return cli.guard(lambda: cli.app([str(one) for one in arguments], standalone_mode=False))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_holds_the_records_of_all_and_says_where_they_came_from(tmp_path: Path) -> None:
    monday = made(tmp_path / "monday", started_at="2026-11-23T13:00:00+00:00")
    friday = made(tmp_path / "friday", impls=("torch", "tf"), started_at="2026-11-20T13:00:00+00:00")
    before = contents(tmp_path)
    assert bench("merge", monday, friday, "-o", tmp_path / "both") == 0
    both, one, other = (store.load(folder) for folder in (tmp_path / "both", monday, friday))
    assert contents(tmp_path).items() >= before.items()
    changed = {"repeat": None}
    assert [found | changed for found in both.records] == [found | changed for found in (*one.records, *other.records)]
    assert [found["repeat"] for found in both.records] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    commit = one.meta["git"]["commit"]
    assert [(m["name"], m["started_at"], m["commit"], m["first_round"]) for m in both.meta["merged"]] == [
        ("monday", "2026-11-23T13:00:00+00:00", commit, 0), ("friday", "2026-11-20T13:00:00+00:00", commit, 3),
    ]  # fmt: skip
    assert (
        both.meta["plan"] == list(dict.fromkeys([*one.meta["plan"], *other.meta["plan"]]))
        and len(both.meta["plan"]) == 3
    )
    assert both.meta["started_at"] == "2026-11-20T13:00:00+00:00" and both.meta["forced"] is None
    assert both.meta["repeats"] is None, "torch has six, the others three"
    assert both.meta["schema"] == record.SCHEMA and both.meta["machine"] == one.meta["machine"]


def test_rounds_of_two_runs_are_never_paired(tmp_path: Path) -> None:
    """The torch of one run and the jax of another were not measured in the same round, whatever their numbers were."""
    runs = made(tmp_path / "one", impls=("torch",)), made(tmp_path / "two", impls=("jax",))
    merge.merge(runs, tmp_path / "both")
    (group,) = grouped(rows(frame([store.load(tmp_path / "both")])))
    jax, torch = ({row["repeat"]: row["step_s"] for row in cell.ok} for cell in group.cells)
    assert compare(torch, jax).shared == 0
    together = made(tmp_path / "three")
    merge.merge([*runs, together], tmp_path / "all")
    (group,) = grouped(rows(frame([store.load(tmp_path / "all")])))
    jax, torch = ({row["repeat"]: row["step_s"] for row in cell.ok} for cell in group.cells)
    assert compare(torch, jax).shared == 3


def test_logs_lie_under_the_round_that_their_record_has(tmp_path: Path) -> None:
    runs = made(tmp_path / "one"), made(tmp_path / "two"), made(tmp_path / "again" / "two", repeats=1, seed=3)
    for one in store.load(runs[2]).records:
        assert one["repeat"] == 0
    lines = (runs[2] / store.RECORDS_FILE).read_text().replace('"started_at":"two"', '"started_at":"later"')
    (runs[2] / store.RECORDS_FILE).write_text(lines)
    merge.merge(runs, tmp_path / "all")
    logs = tmp_path / "all" / "logs"
    for found in store.load(tmp_path / "all").records:
        first = {"one": 0, "two": 3 if found["repeat"] < 6 else 6}[found["run"]]
        assert (
            logs / f"{found['cell_id']}-{found['repeat']}.log"
        ).read_text() == f"{found['run']} {found['repeat'] - first}"
    assert {path.name: path.read_text() for path in logs.glob("*trace*")} == {
        "trace.log": "one", "two-trace.log": "two", "two-2-trace.log": "two",
    }  # fmt: skip


def test_a_merged_run_is_reported_and_merged_again(tmp_path: Path) -> None:
    runs = [made(tmp_path / name) for name in ("one", "two", "three")]
    merge.merge(runs[:2], tmp_path / "both")
    merge.merge([tmp_path / "both", runs[2]], tmp_path / "all")
    found = store.load(tmp_path / "all")
    assert [one["name"] for one in found.meta["merged"]] == ["both", "three"]
    assert [one["name"] for one in found.meta["merged"][0]["merged"]] == ["one", "two"]
    assert found.meta["repeats"] == 9 and {one["repeat"] for one in found.records} == set(range(9))
    page.write([tmp_path / "all"], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<dt>Merged from</dt><dd>both and three</dd>" in text and "9 repeats of each cell" in text


def refused(tmp_path: Path, line: str, *arguments: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(tmp_path)
    assert bench("merge", *arguments, "-o", tmp_path / "out") == 2
    told = capsys.readouterr()
    assert line in told.err and told.err.count("\n") == 1 and not told.out
    assert contents(tmp_path) == before and not list(tmp_path.glob("*.part"))


def test_what_makes_no_sense_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    refused(tmp_path, "give two runs or more", one, capsys=capsys)
    refused(tmp_path, "is given twice", one, two, one, capsys=capsys)
    (tmp_path / "link").symlink_to(one)
    refused(tmp_path, "is given twice", one, tmp_path / "link", capsys=capsys)
    refused(tmp_path, "is no run", one, tmp_path / "nowhere", capsys=capsys)


def test_a_copy_of_a_run_is_the_same_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = made(tmp_path / "one")
    (tmp_path / "copy").mkdir()
    for name in (store.RUN_FILE, store.RECORDS_FILE):
        (tmp_path / "copy" / name).write_bytes((one / name).read_bytes())
    refused(tmp_path, "hold the same records", one, tmp_path / "copy", capsys=capsys)


@pytest.mark.parametrize("kind", ["run", "empty", "file", "link"])
def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, out = made(tmp_path / "one"), made(tmp_path / "two"), tmp_path / "out"
    {
        "run": lambda: made(out), "empty": out.mkdir, "file": lambda: out.write_text("precious"),
        "link": lambda: out.symlink_to("nowhere"),
    }[kind]()  # fmt: skip
    refused(tmp_path, "exists already", one, two, capsys=capsys)
    assert out.is_symlink() == (kind == "link")


def test_another_machine_is_refused_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = made(tmp_path / "one")
    two = made(tmp_path / "two", machine=samples.MACHINE | {"cpu": "Another", "load_1min": 9.0, "memory_bytes": 1})
    line = "the machine of"
    refused(tmp_path, line, one, two, capsys=capsys)
    assert bench("merge", one, two, "-o", tmp_path / "out", "--force") == 0
    (said,) = store.load(tmp_path / "out").meta["forced"]
    assert line in said and "cpu was A processor, model 7 and is Another" in said
    page.write([tmp_path / "out"], tmp_path / "page.html")
    assert "merged by force although they do not belong together" in (tmp_path / "page.html").read_text(
        encoding="utf-8"
    )


def test_a_machine_of_another_load_is_the_same(tmp_path: Path) -> None:
    one = made(tmp_path / "one")
    two = made(tmp_path / "two", machine=samples.MACHINE | {"load_1min": 9.0})
    assert bench("merge", one, two, "-o", tmp_path / "out") == 0


def test_other_mathematics_are_refused_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    lines = (two / store.RECORDS_FILE).read_text().replace('"spec_hash":"autoencoder tiny"', '"spec_hash":"other"')
    (two / store.RECORDS_FILE).write_text(lines)
    refused(tmp_path, "trains something else", one, two, capsys=capsys)
    assert bench("merge", one, two, "-o", tmp_path / "out", "--force") == 0
    assert len(store.load(tmp_path / "out").meta["forced"]) == 2


@pytest.mark.parametrize("odd", ["null", '"1"', "-1", "true", "1.5", "1000000"])
def test_a_record_without_a_round_is_refused(tmp_path: Path, odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    lines = (two / store.RECORDS_FILE).read_text().replace('"repeat":0', f'"repeat":{odd}')
    (two / store.RECORDS_FILE).write_text(lines)
    refused(tmp_path, "no round to count on from", one, two, capsys=capsys)


def test_links_and_pipes_among_the_logs_are_not_copied(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    (tmp_path / "secret").write_text("precious")
    (two / "logs" / "out.log").symlink_to(tmp_path / "secret")
    with pytest.warns(UserWarning, match=r"a log was not copied: .*out.log is a link that leads out"):
        merge.merge([one, two], tmp_path / "both")
    assert not list((tmp_path / "both").rglob("*out.log"))
    assert not any("precious" in path.read_text() for path in (tmp_path / "both").rglob("*") if path.is_file())


def test_logs_elsewhere_are_not_looked_for(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    (two / "logs").rename(tmp_path / "logs")
    (two / "logs").symlink_to(tmp_path / "logs")
    merge.merge([one, two], tmp_path / "both")
    assert len(list((tmp_path / "both" / "logs").iterdir())) == 7


@pytest.mark.parametrize("step", ["flushed", "copy_logs", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_leaves_nothing(
    tmp_path: Path, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Path if step == "rename" else merge, step, fail)
    with pytest.raises(WrongInput if isinstance(error, OSError) else KeyboardInterrupt):
        merge.merge([one, two], tmp_path / "deep" / "both")
    assert list((tmp_path / "deep").rglob("*")) == []


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    runs = {folder: store.load(folder) for folder in (one, two)}
    load = store.load
    monkeypatch.setattr(store, "load", lambda folder: runs.get(folder) or load(folder, store.Limits(records=11)))
    with pytest.raises(WrongInput, match="more than 11 lines"):
        merge.merge([one, two], tmp_path / "both")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_old_runs_become_records_of_this_schema(tmp_path: Path) -> None:
    data = Path(__file__).parents[1] / "data"
    merge.merge([data / "schema-1", data / "schema-2"], tmp_path / "both", force=True)
    lines = [json.loads(line) for line in (tmp_path / "both" / store.RECORDS_FILE).read_text().splitlines()]
    assert {line["schema"] for line in lines} == {record.SCHEMA}
    assert [one["schema"] for one in store.load(tmp_path / "both").meta["merged"]] == [1, 2]
