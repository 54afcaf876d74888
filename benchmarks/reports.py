"""How long reports, comparisons and exports of 10,000 records take, and how quick a page of 500 cells is.

python benchmarks/reports.py
"""

import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import sync_playwright

from bench.machine.fingerprint import cpu_model
from tests.report import samples

CELLS, REPEATS = 500, 20
SEVERAL = {"engine": "distributed", "scaling": "weak"}
LIMITS = {
    "report, s": 10, "page, MB": 15, "compare with its page, s": 10, "export csv, s": None, "export json, s": None,
    "export markdown, s": None, "export parquet, s": None, "page read and filtered, s": 2, "first chart drawn, s": None,
    "filter, s": 0.2,
}  # fmt: skip


def main() -> None:
    """Print each figure beside its limit; exit 1 if one is over."""
    print(f"machine: {cpu_model()}; {CELLS * REPEATS} records of {CELLS} cells")
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(Path(scratch))
    over = {name for name, limit in LIMITS.items() if limit is not None and found[name] > limit}
    for name, value in found.items():
        limit = f"limit {LIMITS[name]}" if LIMITS[name] is not None else "no limit"
        print(f"{name:28} {value:8.2f}  {limit}{'  OVER' if name in over else ''}")
    sys.exit(1 if over else 0)


def measure(scratch: Path) -> dict[str, float]:
    runs = [made(scratch / name) for name in ("base", "new")]
    page, compared = scratch / "report.html", scratch / "compare.html"
    found = {"report, s": command("report", runs[0], "-o", page), "page, MB": page.stat().st_size / 1e6}
    found["compare with its page, s"] = command("compare", *runs, "-o", compared)
    for format in ("csv", "json", "markdown", "parquet"):
        found[f"export {format}, s"] = command("export", runs[0], "--format", format, "-o", scratch / f"out.{format}")
    return found | in_browser(page)


def made(folder: Path) -> Path:
    """A run of every workload, framework, precision, number of devices and some optimizers."""
    dimensions = product(samples.LOSSES, samples.VARIANTS, ("fp32", "bf16", "fp16", "tf32"), (1, 2, 4, 8),
                         ("adam", "adamw", "sgd", "rmsprop"))  # fmt: skip
    cells = [
        samples.make_cell(
            workload, impl, precision=precision, optimizer=optimizer, devices=devices, global_batch=48 * devices,
            norm_groups=devices, **(SEVERAL if devices > 1 else {}),
        )
        for workload, impl, precision, devices, optimizer in dimensions
    ][:CELLS]  # fmt: skip
    return samples.write_run(folder, [samples.make_record(cell, n) for n in range(REPEATS) for cell in cells])


def command(*words: Any) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench", *map(str, words)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


CLICK = """async () => {
    const start = performance.now();
    document.querySelector("[data-filter=impl]").click();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - start;
}"""


READY = """new MutationObserver(() => { window.readyAt ??= performance.now(); })
    .observe(document, { subtree: true, attributeFilter: ["data-ready"] });"""


def in_browser(page: Path) -> dict[str, float]:
    """Seconds, in the median of five: until the page can be read and filtered, until one who goes to the first chart
    sees it, and for a filter to act on all charts in view.
    """
    found: list[list[float]] = []
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(5):
            opened = browser.new_page(viewport={"width": 1280, "height": 900})
            opened.add_init_script(READY)
            start = time.perf_counter()
            opened.goto(page.as_uri())
            chart = opened.locator("[aria-labelledby$=throughput_per_s] .plot").first
            chart.scroll_into_view_if_needed()
            chart.locator(".main-svg").first.wait_for(state="attached")
            drawn = time.perf_counter() - start
            opened.wait_for_timeout(1000)
            found.append([opened.evaluate("readyAt") / 1e3, drawn, opened.evaluate(CLICK) / 1e3])
            opened.close()
        browser.close()
    names = ("page read and filtered, s", "first chart drawn, s", "filter, s")
    return {name: sorted(values)[2] for name, values in zip(names, zip(*found, strict=True), strict=True)}


if __name__ == "__main__":
    main()
