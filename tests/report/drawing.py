"""What a page holds and what a browser has drawn of it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.report import samples

Open = Callable[..., Page]


def open_all(found: Page) -> None:
    """Open what is folded, and scroll past every chart so that it is drawn."""
    found.locator("html[data-ready]").wait_for(state="attached")
    found.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for plot in found.locator(".plot:visible").all():
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for(state="attached")


def held(target: Path) -> dict[str, list[int]]:
    """Of each chart of a file: its bars, its marked points, its lines."""
    (packed,) = re.findall(r'id="data">([^<]+)<', target.read_text(encoding="utf-8"))
    return {name: counted(figure["data"]) for name, figure in samples.unpacked(packed)["figures"].items()}


def counted(traces: list[Any]) -> list[int]:
    bars = [one for one in traces if one["type"] == "bar"]
    lines = [one for one in traces if one["type"] == "scatter"]
    marks = [
        mark for one in lines if "markers" in one["mode"] for mark in zip(one.get("x", one["y"]), one["y"], strict=True)
    ]
    full = [mark for mark in marks if None not in mark]
    return [len([x for one in bars for x in one["x"] if x is not None]), len(full), len(lines)]


def drawn(found: Page) -> dict[str, list[int]]:
    """Of each chart in the browser: bars, points and lines drawn."""
    return found.evaluate(
        """Object.fromEntries([...document.querySelectorAll(".plot")].map((plot) => {
            const count = (what) => plot.querySelectorAll(what).length;
            return [plot.dataset.figure, [count(".bars .point"), count(".scatterlayer .point"),
                count(".scatterlayer .trace")]];
        }))"""
    )


def overlapping(found: Page) -> list[str]:
    """Texts of rows that lie on each other, by pairs."""
    return found.evaluate(
        """[...document.querySelectorAll(".plot")].flatMap((plot) => {
            const texts = [...plot.querySelectorAll(".annotation-text")]
                .map((one) => [one.getBoundingClientRect(), one]);
            const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
            return texts.flatMap(([a, one], n) => texts.slice(n + 1).filter(([b]) => meet(a, b))
                .map(([, other]) => one.textContent + " | " + other.textContent));
        })"""
    )
