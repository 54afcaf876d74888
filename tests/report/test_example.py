"""The run that lies in the repository: its two pages in a real browser, and its comparison from the raw records."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from report.compare.command import within
from tests.report.drawing import Open, drawn, held, open_all, overlapping

EXAMPLE = Path(__file__).parents[2] / "results" / "example"
PAGES = ("report.html", "compare.html")


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", PAGES)
def test_its_pages_are_drawn_whole(open_page: Open, tmp_path: Path, name: str, width: int) -> None:
    shutil.copy(EXAMPLE / name, tmp_path / "page.html")
    found = open_page(width=width)
    found.emulate_media(color_scheme="dark" if width == 390 else "light")
    open_all(found)
    assert drawn(found) == held(tmp_path / "page.html")
    assert found.evaluate("document.documentElement.scrollWidth") <= width
    assert overlapping(found) == []


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_filters_change_all_its_charts(open_page: Open, tmp_path: Path, name: str) -> None:
    shutil.copy(EXAMPLE / name, tmp_path / "page.html")
    found = open_page()
    found.locator("html[data-ready]").wait_for(state="attached")
    found.locator("input[data-filter=impl][value=tf]").uncheck()
    found.locator("input[data-filter=workload][value=lm]").uncheck()
    open_all(found)
    assert found.locator("figcaption:visible", has_text="Language model").count() == 0
    told = found.evaluate(
        """[...document.querySelectorAll(".plot")].filter((plot) => plot.offsetParent).map((plot) =>
            JSON.stringify([plot.data.map((one) => [one.name, one.hovertext]), plot.layout.annotations])).join(" ")"""
    )
    assert "JAX" in told
    assert "TensorFlow" not in told
    assert "Language model" not in told


def test_its_comparison_follows_from_its_records() -> None:
    steps: dict[str, dict[int, float]] = {}
    for line in (EXAMPLE / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["status"] == "ok":
            logs = np.log([window["seconds"] / window["steps"] for window in record["windows"]])
            steps.setdefault(record["cell_id"], {})[record["repeat"]] = float(np.exp(stats.trim_mean(logs, 0.2)))
    told = [one for one in within(EXAMPLE, "impl", None).found if one.metric.name == "throughput_per_s" and one.p]
    assert len(told) >= 12
    for one in told:
        new, base = (steps[cell.id] for cell in (one.pair.new, one.pair.base))
        rounds = sorted(set(new) & set(base))
        ratio = float(np.exp(np.mean([np.log(base[n] / new[n]) for n in rounds])))
        assert one.found.ratio == pytest.approx(ratio, rel=1e-9)
        plain = stats.ttest_rel(*(-np.log([side[n] for n in rounds]) for side in (new, base)))
        assert one.found.error and one.found.freedom and one.found.freedom > plain.df, "neighbours tell more"
        t = stats.t(one.found.freedom)
        half = t.ppf(0.975) * one.found.error
        expected = (ratio * np.exp(-half), ratio * np.exp(half), 2 * t.sf(abs(np.log(ratio)) / one.found.error))
        assert (one.found.low, one.found.high, one.found.p) == pytest.approx(expected, rel=1e-6)
