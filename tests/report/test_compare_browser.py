"""The comparing page in a real browser."""

from pathlib import Path

import pytest

from bench import cli
from tests.report.drawing import Open, drawn, held, open_all, overlapping
from tests.report.test_compare import run_of


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    runs = [run_of(tmp_path, "base", seed=1), run_of(tmp_path, "new", 1.3, seed=2, start="cold")]
    target = tmp_path / "page.html"
    code = cli.guard(lambda: cli.app(["compare", *map(str, runs), "-o", str(target)], standalone_mode=False))
    assert code == 0
    return target


@pytest.mark.parametrize("width", [390, 1440])
def test_every_ratio_is_drawn_and_nothing_overflows(compared: Path, open_page: Open, width: int) -> None:
    found = open_page(width=width)
    open_all(found)
    assert drawn(found) == held(compared)
    assert sum(points for _, points, _ in held(compared).values()) == 3 * 6
    assert found.evaluate("document.documentElement.scrollWidth") <= width
    assert overlapping(found) == []
    found.emulate_media(color_scheme="dark")
    assert found.locator(".lead").inner_text().startswith("Throughput of 6 pairs of cells: 1 slower")
    assert found.locator("td", has_text="started: fork against cold").count() == 3 * 6


def test_filters_act_on_it_too(compared: Path, open_page: Open) -> None:
    found = open_page()
    open_all(found)
    found.locator("input[data-filter=workload][value=lm]").uncheck()
    assert found.locator("figcaption:visible", has_text="Language model").count() == 0
    assert found.locator("tr[data-cell]:visible", has_text="Language model").count() == 0
