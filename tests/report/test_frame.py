"""The frame: one row a record, whatever the records hold."""

import dataclasses
import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import report
from bench import record, store
from bench.metrics import METRICS
from bench.record import FIELDS, Record
from bench.spec import Cell
from bench.store import Run
from report import page
from report.columns import CELL, COLUMNS, FLAT
from report.frame import frame, rows
from tests.report import samples

ODD: tuple[Any, ...] = (
    None,
    "x",
    "nan",
    "",
    3,
    -1,
    0,
    True,
    10**400,
    [],
    {},
    [None],
    ["nan"],
    {"a": None},
    {"a": [{}]},
)


def as_run(*records: Record) -> Run:
    return Run(name="r", folder=Path("r"), meta={}, records=list(records))


def test_one_row_a_record_with_every_field_of_the_cell(good_run: Path) -> None:
    data = report.load(good_run)
    assert list(data.columns) == [column.name for column in COLUMNS]
    assert len(data) == 27
    assert (data["run"] == "good").all()
    first = store.load(good_run).records[0]
    for name in CELL:
        assert rows(data)[0][name] == first["cell"][name]


def test_cell_columns_are_the_fields_of_a_cell() -> None:
    assert tuple(field.name for field in dataclasses.fields(Cell)) == CELL


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_column_for_each_metric(metric: Any) -> None:
    found = samples.make_record(samples.make_cell("lm", "jax"))
    value = rows(frame([as_run(found)]))[0][metric.name]
    assert value == metric.value(found)


def test_columns_are_typed_and_stable_even_without_records() -> None:
    empty, full = frame([as_run()]), frame([as_run(samples.make_record(samples.make_cell()))])
    assert len(empty) == 0
    assert list(empty.dtypes) == list(full.dtypes)
    assert str(full["devices"].dtype) == "Int64"
    assert str(full["step_s"].dtype) == "float64"
    assert full["started_at"][0] == datetime(2026, 11, 23, 13, 0, 51, tzinfo=UTC)


def test_non_finite_strings_become_numbers() -> None:
    made = samples.make_record(samples.make_cell(), losses={"generator": [1.0, math.nan, math.inf, -math.inf]})
    found = record.decode(record.encode(made))
    assert found["losses"]["generator"] == [1.0, "nan", "inf", "-inf"]
    one, nan, *infinite = rows(frame([as_run(found)]))[0]["losses"]["generator"]
    assert (one, infinite) == (1.0, [math.inf, -math.inf])
    assert math.isnan(nan)


def test_text_that_reads_nan_stays_text() -> None:
    found = samples.make_failure(samples.make_cell(), "nan", "nan")
    row = rows(frame([as_run(found)]))[0]
    assert (row["status"], row["reason"]) == ("nan", "nan")


def test_a_record_with_the_least_that_a_record_has() -> None:
    row = rows(frame([as_run({"schema": 1, "cell": {}, "cell_id": "c", "status": "ok"})]))[0]
    assert {name for name, value in row.items() if value is not None and value not in ({}, [])} == {
        "run", "cell_id", "schema", "status",
    }  # fmt: skip


def test_odd_fields_never_stop_the_page(tmp_path: Path) -> None:
    odd = [
        {**samples.make_record(samples.make_cell("lm", "jax"), number), field: value}
        for number, (field, value) in enumerate(
            (field, value) for field in FIELDS if field != "schema" for value in ODD
        )
    ]
    for number, value in enumerate(ODD):
        base = samples.make_record(samples.make_cell("gan", "tf"), number)
        for whole in ("cell", "parity", "phases_s", "memory_bytes", "threads", "sync_check"):
            odd.append({**base, whole: dict.fromkeys(base[whole], value)})
        odd.append({**base, "windows": [dict.fromkeys(base["windows"][0], value)]})
    assert len(frame([as_run(*odd)])) == len(odd)
    samples.write_run(tmp_path / "odd", [], machine=None, plan={}, command="x", git=[], repeats="many", started_at=7)
    with (tmp_path / "odd" / store.RECORDS_FILE).open("w") as file:
        file.writelines(json.dumps(one) + "\n" for one in odd)
    with pytest.warns(UserWarning, match="no whole record|further lines"):  # what is not even a record
        page.write([tmp_path / "odd"], tmp_path / "odd.html")


def test_the_schema_describes_every_column() -> None:
    text = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `([^|]+)` \|", text.split("## Columns of an export")[1], flags=re.M)
    assert [name for line in described for name in line.split("` `")] == [column.name for column in FLAT]
