"""What the page says of cells on several devices: how they scale, what they exchange, and that they are emulated."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import store
from bench.record import Record
from report import exchanges, scaling
from report.cells import groups as grouped
from report.frame import frame
from report.sections import sections
from tests.report import samples
from tests.report.test_page import read

IMPLS = ("torch", "tf", "jax")
GRADIENTS = 272_392  # bytes


def communication(devices: int, all_reduce: Any = None) -> dict[str, Any]:
    told = [{"bytes": size, "seconds": size / 1e8 * devices} for size in (4096, 65536, 1048576, GRADIENTS)]
    without = [{"steps": 5, "rank_s": [0.04 + 0.001 * rank for rank in range(devices)]}] * 2
    told = told if all_reduce is None else all_reduce
    return {"gradient_bytes": GRADIENTS, "all_reduce": told, "without_exchange": without}


def swept(counts: tuple[int, ...] = (2, 8), **changed: Any) -> list[Record]:
    """Weak scaling of the autoencoder, the base in three rounds, the others once, as where devices are emulated."""
    found: list[Record] = []
    for impl in IMPLS:
        base = samples.make_cell("autoencoder", impl, engine="distributed")
        found += [samples.make_record(base, n) for n in range(3)]
        for n in counts:
            cell = replace(base, devices=n, norm_groups=n, global_batch=48 * n, scaling="weak")
            found.append(samples.make_record(cell, communication=communication(n)) | changed)
    return found


def page_of(folder: Path, records: list[Record]) -> str:
    return read(samples.write_run(folder / "run", records)).text


def test_the_page_says_how_it_scales_and_that_it_is_emulated(tmp_path: Path) -> None:
    text = page_of(tmp_path, swept())
    for said in ("Scaling", "efficiency", "emulated cpu devices", "Emulated: this is not how hardware scales."):
        assert said in text, said
    assert "weak scaling" in text and "8 emulated cpu devices" in text
    assert "Scaling" not in page_of(tmp_path / "one", samples.all_ok(workloads=["gan"]))


def test_a_curve_has_a_point_for_each_number_of_devices(tmp_path: Path) -> None:
    (chart,) = scaling.charts(scaling.points(cells_of(tmp_path, swept((2, 4, 8)))))
    lines = scaling.curve(chart, {})["data"]
    assert [line["x"] for line in lines] == [[1, 2, 4, 8]] * 3
    assert all(line["y"][0] == 100 for line in lines)


def test_all_reduces_by_size(tmp_path: Path) -> None:
    found = exchanges.exchanges(cells_of(tmp_path, swept()))
    assert len(found) == len(IMPLS) * 2 * 4
    small = next(one for one in found if (one.cell.impl, one.devices, one.bytes) == ("jax", 8, 4096))
    assert small.seconds == pytest.approx(4096 / 1e8 * 8)
    assert small.bytes_per_s == pytest.approx(2 * 7 / 8 * 4096 / small.seconds)
    assert [exchanges.title(chart) for chart in exchanges.charts(found)] == [
        "2 emulated cpu devices", "8 emulated cpu devices",
    ]  # fmt: skip


HOSTILE: tuple[Any, ...] = (
    7, "text", [], {}, {"all_reduce": 1}, {"all_reduce": [{}]}, communication(2, [{"bytes": "x", "seconds": None}]),
    communication(2, [{"bytes": 0, "seconds": 0}]), communication(2, [{"bytes": -5, "seconds": 1e999}]),
    communication(2, [{"bytes": GRADIENTS, "seconds": 0}]), {**communication(2), "without_exchange": [{"steps": 0}]},
)  # fmt: skip


@pytest.mark.parametrize("field", HOSTILE, ids=repr)
def test_whatever_the_field_holds_there_is_a_page(tmp_path: Path, field: Any) -> None:
    assert "Autoencoder" in page_of(tmp_path, swept((2,), communication=field))


def cells_of(folder: Path, records: list[Record]) -> Any:
    return grouped(frame([store.load(samples.write_run(folder / "run", records))]))


def test_sections_are_absent_where_nothing_is_exchanged(tmp_path: Path) -> None:
    found = [one.id for one in sections(0, cells_of(tmp_path, samples.all_ok(workloads=["gan"])), {})]
    assert "run0-scaling" not in found and "run0-all-reduce" not in found
