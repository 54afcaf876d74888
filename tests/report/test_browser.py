"""The page in a real browser: drawn, quiet, offline, nothing wider than the window, and nothing executed."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.report import samples
from tests.report.drawing import Open, drawn, held, open_all, overlapping


def test_every_chart_is_drawn_with_the_points_that_it_holds(open_page: Open, tmp_path: Path) -> None:
    found = open_page(samples.mixed())
    open_all(found)
    assert drawn(found) == held(tmp_path / "page.html")


@pytest.mark.parametrize("width", [390, 1440])
def test_scaling_and_all_reduces_are_drawn(open_page: Open, tmp_path: Path, width: int) -> None:
    found = open_page(samples.swept(), width)
    open_all(found)
    assert drawn(found) == held(tmp_path / "page.html")
    curves = found.locator("[aria-labelledby$=-scaling] .plot .scatterlayer .trace")
    assert curves.count() == 3
    assert curves.first.locator(".point").count() == 3  # on 1, 2 and 8 devices
    assert found.get_by_text("2 emulated cpu devices").count() >= 1
    assert found.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1440])
def test_clocks_power_energy_and_price_are_drawn(open_page: Open, tmp_path: Path, width: int) -> None:
    found = open_page(samples.on_gpus(), width)
    open_all(found)
    assert drawn(found) == held(tmp_path / "page.html")
    plots = found.locator("[aria-labelledby$=-timeline] .plot")
    assert plots.count() == 3
    assert plots.first.locator(".scatterlayer .trace").count() == 5  # clock and power of two GPUs, and the crosses
    assert plots.first.locator(".shapelayer path").count() == 1
    assert found.locator("[aria-labelledby$=-joules_per_item] .plot .bars .point").count() == 3
    assert found.evaluate("document.documentElement.scrollWidth") <= width
    assert overlapping(found) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_window_nor_overlaps(open_page: Open, width: int) -> None:
    found = open_page(samples.mixed(), width)
    open_all(found)
    assert found.evaluate("document.documentElement.scrollWidth") <= width
    wider = found.evaluate(
        """[...document.querySelectorAll("main *")].filter((one) => !one.closest(".wide table, pre, svg")
            && one.getBoundingClientRect().right > innerWidth + 0.5).map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert wider == []
    assert overlapping(found) == []


def test_it_follows_the_theme(open_page: Open) -> None:
    found = open_page(samples.all_ok(workloads=["gan"]))
    open_all(found)
    assert brightness(found, "document.body", "backgroundColor") > 0.95
    assert brightness(found, "document.querySelector('.annotation-text')", "fill") < 0.2
    found.emulate_media(color_scheme="dark")
    assert brightness(found, "document.body", "backgroundColor") < 0.15
    assert brightness(found, "document.querySelector('.annotation-text')", "fill") > 0.8


def brightness(found: Page, element: str, kind: str) -> float:
    """Mean of red, green and blue, from 0 to 1."""
    colour = found.evaluate(f"getComputedStyle({element}).{kind}")
    return sum(float(part) for part in re.findall(r"[0-9.]+", colour)[:3]) / 765


def test_hostile_text_is_shown_and_never_run(open_page: Open) -> None:
    records = [record for text in samples.HOSTILE for record in samples.hostile(text)]
    found = open_page(records, 390, **samples.hostile_meta("".join(samples.HOSTILE)))
    open_all(found)
    assert found.evaluate("window.hacked") is None
    assert found.evaluate("document.querySelectorAll('.plot a, .plot image, main img, main a').length") == 0
    assert found.evaluate("document.documentElement.scrollWidth") <= 390
    failures = found.locator(".failures").inner_text()
    labels = " ".join(found.locator(".plot .annotation-text").all_text_contents())
    for text in samples.HOSTILE:
        assert text[:30].strip() in failures
        assert text[:30].strip() in labels


def test_hovering_tells_the_cell(open_page: Open) -> None:
    found = open_page(samples.all_ok(workloads=["gan"]))
    open_all(found)
    found.locator(".plot .bars .point").first.hover(force=True)
    label = found.locator(".hoverlayer .hovertext").first
    label.wait_for()
    said = label.text_content() or ""
    assert all(part in said for part in ("PyTorch eager", "95 % interval", "3 repeats", "proven"))


def test_filters_change_every_chart(open_page: Open) -> None:
    found = open_page(samples.all_ok())
    open_all(found)
    found.locator("input[data-filter=impl][value=tf]").uncheck()
    assert found.locator(".shown").inner_text() == "6 of 9 cells are shown."
    open_all(found)
    assert "TensorFlow" not in said_by_charts(found)
    assert "TensorFlow" not in " ".join(found.locator("tbody tr[data-cell]:visible").all_inner_texts())
    found.locator("input[data-filter=workload][value=gan]").uncheck()
    open_all(found)
    assert found.locator("figcaption:visible", has_text="GAN").count() == 0
    assert found.locator("figcaption:visible", has_text="Autoencoder").count() > 0
    assert found.locator(".answer:visible").count() == 2
    found.locator(".filters button").click()
    found.get_by_text("All 9 cells are shown.").wait_for()
    open_all(found)
    assert "TensorFlow" in said_by_charts(found)


def said_by_charts(found: Page) -> str:
    """What the charts that are shown have drawn: their text, and what hovering over them would say."""
    return found.evaluate(
        """[...document.querySelectorAll(".plot")].filter((plot) => plot.offsetParent).map((plot) =>
            JSON.stringify([plot.data.map((one) => [one.name, one.hovertext]), plot.layout.annotations])).join(" ")"""
    )


def test_rows_close_up_where_others_are_left_out(open_page: Open) -> None:
    found = open_page(samples.all_ok(workloads=["gan"]))
    open_all(found)
    plot = found.locator("[aria-labelledby$=throughput_per_s] .plot").first
    before = plot.bounding_box()
    found.locator("input[data-filter=impl][value=torch]").uncheck()
    open_all(found)
    labels = plot.locator(".annotation-text").all_text_contents()
    assert [label.split()[0] for label in labels[::2]] == ["TensorFlow", "JAX"]
    after = plot.bounding_box()
    assert before and after and before["height"] - after["height"] == 52
    bars, notes = (
        [one.bounding_box()["y"] for one in plot.locator(what).all()]  # type: ignore[index]
        for what in (".bars .point", ".annotation-text")
    )
    assert notes[0] < bars[0] < notes[2] < bars[1]


def test_a_click_on_a_point_gives_the_command_that_repeats_it(open_page: Open) -> None:
    found = open_page(samples.all_ok(workloads=["gan"]))
    open_all(found)
    found.locator(".plot .bars .point").nth(1).click(force=True)
    assert "--impl tf --workload gan --size tiny" in found.locator("#repeat code").inner_text()
    found.locator("#repeat button").press("Enter")
    assert found.locator("#repeat").is_hidden()


def test_by_keyboard(open_page: Open) -> None:
    """Filters, folded tables and commands are reached and used without a mouse."""
    found = open_page(samples.all_ok(workloads=["gan"]))
    found.locator("html[data-ready]").wait_for(state="attached")
    found.keyboard.press("Tab")
    assert found.evaluate("document.activeElement.dataset.filter") == "impl"
    found.keyboard.press("Space")
    assert found.locator(".shown").inner_text() == "2 of 3 cells are shown."
    fold = found.locator("details.data summary").first
    fold.focus()
    found.keyboard.press("Enter")
    found.locator("details.data table").first.wait_for()
    outline = found.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


CONTRAST = """(least) => {
    const numbers = (colour) => (colour.match(/[0-9.]+/g) || []).map(Number);
    const light = (colour) => {
        const [r, g, b] = numbers(colour).map((one) => one / 255)
            .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (one) => {
        for (; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor, [, , , alpha = 1] = numbers(colour);
            if (alpha > 0.5) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const drawnOn = (one) => one.closest(".textpoint");  // white on the colour of its mark
    const own = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const seen = (one) => own(one) && !drawnOn(one) && one.checkVisibility();
    return [...document.querySelectorAll("body *")].filter(seen).map((one) => {
        const style = getComputedStyle(one), drawn = one.closest("svg");
        const [a, b] = [light(drawn ? style.fill : style.color), light(behind(one))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), one.tagName + "." + one.getAttribute("class"), one.textContent.slice(0, 30)];
    }).filter(([ratio]) => !(ratio >= least));
}"""  # WCAG 2.2, 1.4.3: of text, at its least


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out(open_page: Open, theme: str) -> None:
    found = open_page(samples.mixed())
    found.emulate_media(color_scheme=theme)  # pyright: ignore[reportArgumentType]
    open_all(found)
    assert found.evaluate(CONTRAST, 4.5) == []
    assert len(found.evaluate(CONTRAST, 21)) > 100  # it does look at text


def test_paper_shows_every_chart(open_page: Open) -> None:
    found = open_page(samples.all_ok())
    found.locator("html[data-ready]").wait_for(state="attached")
    assert found.pdf(format="A4").startswith(b"%PDF")
    undrawn = """[...document.querySelectorAll(".plot")].filter((one) => one.offsetParent
        && !one.querySelector(".main-svg")).length"""
    assert found.evaluate(undrawn) == 0
    found.emulate_media(media="print")
    assert found.locator(".filters").is_hidden()
    assert found.locator(".answer").first.is_visible()
