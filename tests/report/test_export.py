"""Exports: flat, one row a record, the same numbers back."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import store
from bench.metrics import METRICS
from bench.store import WrongInput
from report import exports
from report.columns import CELL, FLAT
from tests.report import samples


def test_csv_holds_the_same_numbers(mixed_run: Path, tmp_path: Path) -> None:
    exports.export(mixed_run, "csv", tmp_path / "out.csv")
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
    exports.export(mixed_run, "json", None)
    found = json.loads(capsys.readouterr().out)
    records = store.load(mixed_run).records
    assert list(found[0]) == [column.name for column in FLAT]
    for row, record in zip(found, records, strict=True):
        assert {name: row[name] for name in CELL} == record["cell"]
        assert {metric.name: row[metric.name] for metric in METRICS} == {m.name: m.value(record) for m in METRICS}
        assert (row["reason"], row["verdict"]) == (record["reason"], record["parity"]["verdict"])
        assert row["started_at"] == record["started_at"]


def test_csv_goes_to_standard_output(good_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.export(good_run, "csv", None)
    assert len(capsys.readouterr().out.splitlines()) == 28


def test_an_empty_run_exports_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = samples.write_run(tmp_path / "empty", [])
    exports.export(empty, "csv", None)
    assert capsys.readouterr().out.strip() == ",".join(column.name for column in FLAT)
    exports.export(empty, "json", None)
    assert json.loads(capsys.readouterr().out) == []


def test_an_unknown_format_names_the_known(good_run: Path) -> None:
    with pytest.raises(WrongInput, match="no format xml; --format takes csv, parquet, json, markdown"):
        exports.export(good_run, "xml", None)


def test_a_folder_is_not_written_over(good_run: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(WrongInput, match="is a folder"):
        exports.export(good_run, "csv", tmp_path / "there")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "=HYPERLINK('http://evil.example')"])
def test_text_is_no_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    run = samples.write_run(tmp_path / "r", [samples.make_failure(samples.make_cell(), "crashed", text)])
    exports.export(run, "csv", None)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["reason"] == f"'{text}"


def test_parquet_holds_the_frame_itself(mixed_run: Path, tmp_path: Path) -> None:
    exports.export(mixed_run, "parquet", tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet", dtype_backend="numpy_nullable")
    expected = exports.flat([store.load(mixed_run)])
    assert list(found.columns) == list(expected.columns)
    for name in found.columns:
        assert found[name].isna().tolist() == expected[name].isna().tolist(), name
        assert found[name].dropna().tolist() == expected[name].dropna().tolist(), name
    assert str(pd.read_parquet(tmp_path / "out.parquet")["started_at"].dtype).startswith("datetime64")


def test_parquet_is_not_written_to_a_terminal(good_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(WrongInput, match="name a file with -o"):
        exports.export(good_run, "parquet", None)


def test_parquet_without_its_package_names_the_extra(good_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Unable to find pyarrow")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", missing)
    with pytest.raises(WrongInput, match=r"pip install 'samestep\[parquet\]'"):
        exports.to_parquet(exports.flat([store.load(good_run)]))


@pytest.mark.parametrize("text", [*samples.HOSTILE, "a | b", "two\nlines", "@everyone #1 ![x](http://evil.example)"])
def test_markdown_stays_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    run = samples.write_run(tmp_path / "r", [samples.make_failure(samples.make_cell(), "crashed", text)])
    exports.export(run, "markdown", None)
    head, rule, row = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|") == row.replace("\\|", "").count("|")
    assert "<" not in row and not re.search(r"(?<!\\)[@\[!]", row)


def test_a_price_for_reading_stands_for_that_of_the_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = samples.write_run(tmp_path / "run", samples.on_gpus(["jax"]))

    def exported(price: float | None) -> list[dict[str, Any]]:
        exports.export(run, "json", None, price=price)
        return json.loads(capsys.readouterr().out)

    own, other = exported(None), exported(5.0)
    assert {one["price_per_hour"] for one in own} == {2.5} and {one["price_per_hour"] for one in other} == {5.0}
    for one, two in zip(own, other, strict=True):
        assert one["price_per_million"] == 2.5 / 3600 * 1e6 / one["throughput_per_s"]
        assert two["price_per_million"] == pytest.approx(2 * one["price_per_million"])
        assert one["joules_per_item"] == one["energy_j"] / (one["items_per_step"] * one["window_steps"])
    assert store.load(run).records[0]["price_per_hour"] == 2.5, "the run is as it was"
