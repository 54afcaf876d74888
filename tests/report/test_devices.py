"""What the page says of cells on several devices: how they scale, what they exchange, and that they are emulated."""

from pathlib import Path
from typing import Any

import pytest

from bench import store
from bench.record import Record
from report.cells import groups as grouped
from report.devices import efficiency, exchanges
from report.frame import frame
from report.sections import sections
from tests.report import samples
from tests.report.test_page import read


def page_of(folder: Path, records: list[Record]) -> str:
    return read(samples.write_run(folder / "run", records)).text


def test_the_page_says_how_it_scales_and_that_it_is_emulated(tmp_path: Path) -> None:
    text = page_of(tmp_path, samples.swept())
    for said in ("Scaling", "efficiency", "emulated cpu devices", "Emulated: this is not how hardware scales."):
        assert said in text, said
    assert "weak scaling" in text and "8 emulated cpu devices" in text
    assert "Scaling" not in page_of(tmp_path / "one", samples.all_ok(workloads=["gan"]))


def test_a_curve_has_a_point_for_each_number_of_devices(tmp_path: Path) -> None:
    (chart,) = efficiency.charts(efficiency.points(cells_of(tmp_path, samples.swept((2, 4, 8)))))
    lines = efficiency.curve(chart, {})["data"]
    assert [line["x"] for line in lines] == [[1, 2, 4, 8]] * 3
    assert all(line["y"][0] == 100 for line in lines)


def test_all_reduces_by_size(tmp_path: Path) -> None:
    found = exchanges.exchanges(cells_of(tmp_path, samples.swept()))
    assert len(found) == 3 * 2 * 4
    small = next(one for one in found if (one.cell.impl, one.devices, one.bytes) == ("jax", 8, 4096))
    assert small.seconds == pytest.approx(4096 / 1e8 * 8)
    assert small.bytes_per_s == pytest.approx(2 * 7 / 8 * 4096 / small.seconds)
    assert [exchanges.title(chart) for chart in exchanges.charts(found)] == [
        "2 emulated cpu devices", "8 emulated cpu devices",
    ]  # fmt: skip


HOSTILE: tuple[Any, ...] = (
    7, "text", [], {}, {"all_reduce": 1}, {"all_reduce": [{}]}, samples.exchanged(2, [{"bytes": "x", "seconds": None}]),
    samples.exchanged(2, [{"bytes": 0, "seconds": 0}]), samples.exchanged(2, [{"bytes": -5, "seconds": 1e999}]),
    samples.exchanged(2, [{"bytes": samples.GRADIENTS, "seconds": 0}]),
    {**samples.exchanged(2), "without_exchange": [{"steps": 0}]},
)  # fmt: skip


@pytest.mark.parametrize("field", HOSTILE, ids=repr)
def test_whatever_the_field_holds_there_is_a_page(tmp_path: Path, field: Any) -> None:
    assert "Autoencoder" in page_of(tmp_path, samples.swept((2,), communication=field))


def cells_of(folder: Path, records: list[Record]) -> Any:
    return grouped(frame([store.load(samples.write_run(folder / "run", records))]))


def test_sections_are_absent_where_nothing_is_exchanged(tmp_path: Path) -> None:
    found = [one.id for one in sections(0, cells_of(tmp_path, samples.all_ok(workloads=["gan"])), {})]
    assert "run0-scaling" not in found and "run0-all-reduce" not in found
