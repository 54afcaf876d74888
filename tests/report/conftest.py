"""Sample runs on disk, and one browser for the whole session."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from report import page
from tests.report import samples
from tests.report.drawing import Open

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


@pytest.fixture
def good_run(tmp_path: Path) -> Path:
    return samples.write_run(tmp_path / "good", samples.all_ok())


@pytest.fixture
def mixed_run(tmp_path: Path) -> Path:
    return samples.write_run(tmp_path / "mixed", samples.mixed())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("these tests need a browser and there is none: apt-get install -y chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open the report of some records, or what lies in page.html; after the test, that the page asked for nothing."""
    said: list[str] = []
    asked: list[str] = []
    contexts: list[Any] = []

    def opened(records: list[Any] | None = None, width: int = 1280, **meta: Any) -> Page:
        target = tmp_path / "page.html"
        if records is not None:
            page.write([samples.write_run(tmp_path / "run", records, **meta)], target)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="light", offline=True)
        contexts.append(context)
        found = context.new_page()
        found.on("console", lambda message: said.append(message.text))
        found.on("pageerror", lambda error: said.append(str(error)))
        found.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        found.on("request", lambda request: asked.append(request.url))
        found.goto(target.as_uri())
        return found

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert asked == [(tmp_path / "page.html").as_uri()]
