"""Exports: flat, one row a record, the same numbers back."""

import csv
import io
import json
from pathlib import Path

import pytest

from bench import store
from bench.metrics import METRICS
from bench.store import WrongInput
from report import tables
from report.frame import CELL, FLAT
from tests.report import samples


def test_csv_holds_the_same_numbers(mixed_run: Path, tmp_path: Path) -> None:
    tables.export(mixed_run, "csv", tmp_path / "out.csv")
    found = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    records = store.load(mixed_run).records
    assert list(found[0]) == [column.name for column in FLAT]
    for row, record in zip(found, records, strict=True):
        assert {name: row[name] for name in CELL} == {
            name: "" if record["cell"][name] is None else str(record["cell"][name]) for name in CELL
        }
        for metric in METRICS:
            value = metric.value(record)
            assert (float(row[metric.name]) if row[metric.name] else None) == value


def test_json_holds_the_same_numbers(mixed_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables.export(mixed_run, "json", None)
    found = json.loads(capsys.readouterr().out)
    records = store.load(mixed_run).records
    assert list(found[0]) == [column.name for column in FLAT]
    for row, record in zip(found, records, strict=True):
        assert {name: row[name] for name in CELL} == record["cell"]
        assert {metric.name: row[metric.name] for metric in METRICS} == {m.name: m.value(record) for m in METRICS}
        assert (row["reason"], row["verdict"]) == (record["reason"], record["parity"]["verdict"])
        assert row["started_at"] == record["started_at"]


def test_csv_goes_to_standard_output(good_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables.export(good_run, "csv", None)
    assert len(capsys.readouterr().out.splitlines()) == 28


def test_an_empty_run_exports_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = samples.write_run(tmp_path / "empty", [])
    tables.export(empty, "csv", None)
    assert capsys.readouterr().out.strip() == ",".join(column.name for column in FLAT)
    tables.export(empty, "json", None)
    assert json.loads(capsys.readouterr().out) == []


def test_an_unknown_format_names_the_known(good_run: Path) -> None:
    with pytest.raises(WrongInput, match="no format xml; --format takes csv or json"):
        tables.export(good_run, "xml", None)


def test_a_folder_is_not_written_over(good_run: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(WrongInput, match="is a folder"):
        tables.export(good_run, "csv", tmp_path / "there")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "=HYPERLINK('http://evil.example')"])
def test_text_is_no_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    run = samples.write_run(tmp_path / "r", [samples.make_failure(samples.make_cell(), "crashed", text)])
    tables.export(run, "csv", None)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["reason"] == f"'{text}"
