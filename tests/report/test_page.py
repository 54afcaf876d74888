"""The page as a file: what it says, that nothing in a record breaks out of it, and how it is written."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench import store
from bench.store import WrongInput
from report import html, page, surroundings
from report.frame import frame, rows
from tests.report import samples


class Page(HTMLParser):
    """Tags with their attributes, the text that a reader sees, and the data that the script draws."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.data: dict[str, Any] = {}
        self.inside = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = dict(attrs).get("id") or "script" if tag == "script" else tag if tag == "style" else ""

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "data":
            self.data = samples.unpacked(data)
        elif not self.inside:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """What stands in the file, and then what its script builds of tables."""
        tables = list(self.data.get("tables", {}).values())
        built = [
            value for table in tables for value in (*table["head"], *(v for line in table["lines"] for v in line[2]))
        ]
        return " ".join(" ".join([*self.texts, *built]).split())

    @property
    def figures(self) -> list[Any]:
        return list(self.data["figures"].values())


def read(*runs: Path) -> Page:
    target = runs[0].parent / "page.html"
    page.write(list(runs), target)
    return Page(target.read_text(encoding="utf-8"))


def test_it_opens_with_what_was_run_and_the_answer(good_run: Path) -> None:
    text = read(good_run).text
    order = [
        "python -m bench run --impl all", "23 November 2026, 13:19 UTC", "A processor, model 7, 2 cores", "3 repeats",
        "JAX jit is fastest", "All three are proven", "Every cell at a glance",
        "Throughput", "The same losses", "Host memory", "Cold start",
        "Every cell, with its proof", "Cells that are not ok", "What was on, in whom",
        "Machine and software",
        "A measurement is the wall-clock time to dispatch k training steps (forward, backward, optimizer update)",
    ]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_it_needs_no_network(good_run: Path) -> None:
    tags = read(good_run).tags
    assert not [attrs for _, attrs in tags if {"src", "href", "action", "data", "poster"} & set(attrs)]
    assert not {"link", "iframe", "object", "img", "base"} & {tag for tag, _ in tags}
    (policy,) = (attrs["content"] for tag, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "http" not in policy


def test_each_chart_has_words_and_a_table(good_run: Path) -> None:
    found = read(good_run)
    plots = [attrs for _, attrs in found.tags if attrs.get("class") == "plot"]
    assert len({plot["data-figure"] for plot in plots}) == len(plots) > 20
    assert {plot["data-figure"] for plot in plots} == set(found.data["figures"])
    assert all(plot["role"] == "img" and len(plot["aria-label"] or "") > 40 for plot in plots)
    tables = {attrs["data-table"] for _, attrs in found.tags if "data-table" in attrs}
    assert tables == set(found.data["tables"])
    assert {str(plot["data-figure"]).rsplit("-", 1)[0] for plot in plots} <= tables
    assert all(table["lines"] for table in found.data["tables"].values())
    for figure in found.figures:
        assert set(figure) == {"data", "layout"}


def test_every_status_that_is_not_ok_is_shown_with_its_reason_and_log(mixed_run: Path) -> None:
    text = read(mixed_run).text
    for part in (
        "crashed PyTorch eager", "RuntimeError in steady state: no kernel",
        'File "step.py", line 7 RuntimeError: no kernel',
        "oom TensorFlow graph", "OOM when allocating", "round 1, 2 and 3", "unsupported PyTorch eager",
        "torch is not installed", "diverged TensorFlow graph", "generator at step 2 is 3.1e-03 off",
        "consistent, not proven: no proof: none was made", "2 of 3 repeats",
    ):  # fmt: skip
        assert part in text


def test_a_diverged_row_is_struck_out(mixed_run: Path) -> None:
    assert any(tag == "tr" and attrs.get("class") == "struck" for tag, attrs in read(mixed_run).tags)


@pytest.mark.parametrize("text", samples.HOSTILE)
def test_hostile_text_stays_text(tmp_path: Path, text: str) -> None:
    good = read(samples.write_run(tmp_path / "good", samples.all_ok(workloads=["lm"])))
    bad = read(samples.write_run(tmp_path / "bad", samples.hostile(text), **samples.hostile_meta(text)))
    assert {tag for tag, _ in bad.tags} <= {tag for tag, _ in good.tags} | {"pre", "li", "ul"}
    names = {name for _, attrs in bad.tags for name in attrs}
    assert not [name for name in names if name.startswith("on")]
    assert names <= {name for _, attrs in good.tags for name in attrs}
    assert [attrs.get("id") for tag, attrs in bad.tags if tag == "script"] == ["data", "plotly", None]
    assert bad.figures


@pytest.mark.parametrize("text", samples.HOSTILE)
def test_data_in_the_page_cannot_end_its_element(text: str) -> None:
    packed = html.pack({"data": [text]})
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed)
    assert samples.unpacked(packed)["data"] == [text]


def test_an_empty_run_is_a_page_with_a_notice(tmp_path: Path) -> None:
    text = read(samples.write_run(tmp_path / "empty", [], plan=["a", "b"])).text
    assert "This run holds no records." in text
    assert "2 of 2 planned cells left no record" in text


def test_a_torn_line_is_a_notice_and_a_warning(good_run: Path) -> None:
    with (good_run / store.RECORDS_FILE).open("a") as file:
        file.write('{"schema": 1, "cell": {"wor')
    with pytest.warns(UserWarning, match="line 28 is no whole record"):
        found = read(good_run)
    assert "line 28 is no whole record and was skipped" in found.text
    assert "JAX jit is fastest" in found.text


def test_unlike_starts_are_told(tmp_path: Path) -> None:
    records = samples.all_ok(workloads=["gan"])
    records[0]["start"] = "cold"
    assert "some started cold" in read(samples.write_run(tmp_path / "r", records)).text


def test_several_runs_each_have_their_part(good_run: Path, mixed_run: Path) -> None:
    found = read(good_run, mixed_run, good_run)
    assert [attrs["id"] for tag, attrs in found.tags if tag == "h2" and "id" in attrs] == ["run1", "run2", "run3"]
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["missing/page.html", "good", "good/records.jsonl", "good/run.json"])
def test_a_target_that_cannot_be_written_changes_nothing(good_run: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in good_run.parent.rglob("*") if path.is_file()}
    with pytest.raises(WrongInput, match="cannot write"):
        page.write([good_run], good_run.parent / name)
    assert {path: path.read_bytes() for path in good_run.parent.rglob("*") if path.is_file()} == before


def test_a_folder_that_is_no_run_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="is no run"):
        page.write([tmp_path], tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_an_older_page_is_replaced_whole(good_run: Path) -> None:
    target = good_run / "report.html"
    target.write_text("old")
    page.write([good_run], target)
    assert target.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert not list(good_run.glob(".*"))


def test_what_was_on_stands_side_by_side(good_run: Path) -> None:
    """One row for each thing that could be on, one column for each framework and variant."""
    found = surroundings.fairness(rows(frame([store.load(good_run)])))
    assert found.head == ["what was on", "JAX jit", "PyTorch eager", "TensorFlow graph"]
    assert [line.values for line in found.lines] == [["jit", "yes", "no", "yes"], ["optimizer", *["fused"] * 3]]


def test_what_differs_within_a_framework_says_where() -> None:
    kept = {"status": "ok", "impl": "jax", "variant": "jit", "precision": "fp32"}
    some = [kept | {"workload": name, "optimisations_map": {"layout": layout}} for name, layout in
            (("gan", "NHWC"), ("autoencoder", "NHWC"), ("lm", "none"))]  # fmt: skip
    (line,) = surroundings.fairness(some).lines
    assert line.values == ["layout", "NHWC (autoencoder fp32, gan fp32); none (lm fp32)"]


def test_the_price_of_a_precision_stands_in_the_summary(good_run: Path) -> None:
    assert "in 100 steps" in read(good_run).text
