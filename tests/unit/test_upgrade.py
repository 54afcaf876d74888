"""Runs of older schemas, as they were written: read whole, and nothing that they could not know is a number."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import cli, metrics, record, store, upgrade

DATA = Path(__file__).parents[1] / "data"
OLD = {"schema-1": 1, "schema-2-first": 2, "schema-2": 2, "schema-3": 3, "schema-4": 4, "schema-5": 5}


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    before = {path: path.read_bytes() for path in DATA.rglob("*") if path.is_file()}
    yield
    assert {path: path.read_bytes() for path in DATA.rglob("*") if path.is_file()} == before


def written(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name / "records.jsonl").read_text().splitlines()]


def test_there_is_a_step_from_every_schema() -> None:
    assert list(upgrade.STEPS) == list(range(1, record.SCHEMA))
    assert set(OLD.values()) == set(upgrade.STEPS)


@pytest.mark.parametrize("name", OLD)
def test_a_run_is_read_as_this_schema_has_it(name: str) -> None:
    run = store.load(DATA / name)
    assert {one["schema"] for one in written(name)} == {OLD[name]} == {run.meta["schema"]}
    for found, before in zip(run.records, written(name), strict=True):
        assert tuple(found) == record.FIELDS
        assert found["schema"] == record.SCHEMA
        assert {part for part in record._nulls(found) if not found["absent"].get(part)} == set()
        for field in ("cell", "status", "latency_s", "losses", "phases_s", "versions", "started_at", "repeat"):
            assert found[field] == before[field]
        assert metrics.step_s(found) == metrics.step_s(before)


@pytest.mark.parametrize(
    ("name", "null", "kept"),
    [
        ("schema-1", ("drift", "communication", "effective_precision", "sync_check"), ("latency_s",)),
        ("schema-2-first", ("communication",), ("drift", "effective_precision")),
        ("schema-2", ("communication",), ("drift", "effective_precision")),
        ("schema-5", ("visits", "sync_check"), ("interpreter", "latency_s")),
    ],
)
def test_what_came_later_is_null(name: str, null: tuple[str, ...], kept: tuple[str, ...]) -> None:
    for found in store.load(DATA / name).records:
        assert {field: found[field] for field in null} == dict.fromkeys(null)
        assert all(found[field] is not None for field in kept)
        assert OLD[name] > 3 or found["parity"]["reference_losses"] is None


@pytest.mark.parametrize("name", ["schema-1", "schema-2-first"])
def test_host_memory_with_pages_of_files_is_no_number(name: str) -> None:
    assert all(before["memory_bytes"]["host_peak"] > 0 for before in written(name))
    for found in store.load(DATA / name).records:
        assert "pages of files" in found["absent"]["memory_bytes.host_peak"]
        assert found["memory_bytes"]["host_peak"] is found["memory_bytes"]["host_baseline"] is None
        assert [rank["host_peak"] for rank in found["ranks"]] == [None]
        assert {window["cpu_s"] for window in found["windows"]} == {None} and found["threads"]["total"] is None
        of_host = [one for one in metrics.METRICS if one.name.startswith("host")]
        assert len(of_host) == 2 and all(one.value(found) is None for one in of_host)


@pytest.mark.parametrize("name", ["schema-2", "schema-3"])
def test_host_memory_without_them_stays(name: str) -> None:
    for found, before in zip(store.load(DATA / name).records, written(name), strict=True):
        assert found["memory_bytes"] == before["memory_bytes"]
        later = dict.fromkeys(("begin_s", "rewait_s", "control_s", "idle_s", "idle_cpu_s"))
        assert found["windows"] == [window | later for window in before["windows"]]


def test_several_devices_stay() -> None:
    found = store.load(DATA / "schema-3").records
    assert [one["cell"]["devices"] for one in found if one["communication"]] == [2, 2]


def test_a_record_that_failed_keeps_its_own_reasons() -> None:
    failed = written("schema-1")[0] | {"status": "crashed", "memory_bytes": None, "windows": None}
    failed["absent"] = {"memory_bytes": "the cell is crashed", "windows": "the cell is crashed"}
    found = upgrade.upgraded(failed)
    assert found["memory_bytes"] is None and found["absent"]["memory_bytes"] == "the cell is crashed"
    assert not {"memory_bytes.host_peak", "windows.cpu_s"} & set(found["absent"])


@pytest.mark.parametrize("schema", range(1, record.SCHEMA))
@pytest.mark.parametrize("odd", [None, 3, "x", [], [3], {}, [[]]])
def test_odd_fields_are_no_obstacle(schema: int, odd: Any) -> None:
    strange = dict.fromkeys(record.FIELDS, odd) | {"schema": schema, "cell": {}, "cell_id": "c", "status": "ok"}
    assert upgrade.upgraded(strange)["schema"] == record.SCHEMA
    assert tuple(upgrade.upgraded({"schema": schema})) == record.FIELDS


@pytest.mark.parametrize("name", OLD)
def test_report_compare_export_and_merge_take_it(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(DATA / name)
    assert bench("report", run, "-o", str(tmp_path / "page.html")) == 0
    assert "did not hold it" in (tmp_path / "page.html").read_text(encoding="utf-8")
    for format in ("csv", "json", "markdown"):
        assert bench("export", run, "--format", format) == 0
    assert bench("compare", run, "--by", "impl") == 0
    assert capsys.readouterr().err == ""
    assert bench("merge", run, str(DATA / ("schema-1" if name != "schema-1" else "schema-2")), "--force", "-o",
                 str(tmp_path / "merged")) == 0  # fmt: skip
    assert len(store.load(tmp_path / "merged").records) > len(written(name))


def bench(*arguments: str) -> int:
    return cli.guard(lambda: cli.app(list(arguments), standalone_mode=False))
