"""Whatever text a stranger's run holds, wherever it stands: no tag, no link, no formula, no command to a terminal."""

import copy
import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import store
from bench.record import Record
from bench.store import WrongInput
from report import exports, html, images, page
from report.compare import command
from report.files import save
from tests.report import samples
from tests.report.drawing import Open, open_all
from tests.report.test_page import read

TAGS = re.compile(r"</?(?:b|s|sub|br)>")  # that figures write themselves
BAD = "<img src=x onerror='window.hacked = 9'>\x1b]0;owned\x07\u202e=1+1|[x](javascript:0)&lt;$x$%{x}"
KEPT = ("status", "verdict", "cell_id", "impl", "precision", "workload", "engine", "compile_cache")
TERMINAL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)  # all control characters but line feeds


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all texts, and to all names of objects."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value[:2]):
            yield from leaves(inner, (*path, place))
    elif isinstance(value, str) or value is None:
        yield path


def poisoned(value: Any, keep: Callable[[tuple[Any, ...]], bool], text: str = BAD) -> Any:
    """A copy in which every text but those to keep is the hostile one, and every open object has a hostile name too."""
    found = copy.deepcopy(value)
    for path in list(leaves(value)):
        if not keep(path):
            inner = found
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = text
    for name in ("versions", "flags", "optimisations", "machine", "absent", "losses"):
        if isinstance(found.get(name), dict):
            found[name][text] = found[name].get(text) or (text if name != "losses" else [1.0, 0.5])
    return found


def poisoned_run(folder: Path, *, cells: bool = True, records: Sequence[Record] = ()) -> Path:
    """A run of two devices, failures and all: hostile wherever text stands, with what makes charts kept as it is."""
    records = records or [*samples.mixed(), *samples.swept()]
    for one in records:
        one["log_tail"] = one["log_tail"] or "end"
    kept = KEPT if cells else (*KEPT, *records[0]["cell"], "spec_hash", "cell")
    hostile = [poisoned(one, lambda path: path[-1] in kept or (not cells and "cell" in path)) for one in records]
    meta = poisoned(samples.make_meta(records), lambda path: path[-1] == "plan")
    meta |= {"merged": [{"name": BAD, "commit": BAD}], "forced": [BAD], "schema": records[0]["schema"]}
    meta |= {"resumed": [{"forced": True, "changes": [BAD]}], "load": BAD, "choice": BAD}
    whose = {"impl": BAD, "variant": BAD, "device": BAD}  # the device by which records name theirs
    meta |= {"ceilings": [samples.make_ceiling(precision=p) | whose for p in (BAD, "fp32", "bf16")] + [BAD, {BAD: BAD}]}
    return samples.write_run(folder, hostile, **meta)


@pytest.fixture(params=[True, False], ids=["cells too", "all but cells"])
def hostile(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return poisoned_run(tmp_path / "<img src=x onerror='window.hacked = 8'>\u202e\x1b[31m", cells=request.param)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (name, *strings(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def test_no_field_is_a_tag_in_the_page(hostile: Path) -> None:
    found = read(hostile)
    assert {tag for tag, _ in found.tags} & {"img", "a", "b", "svg", "iframe"} == set()
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    said = list(strings(found.figures))
    assert any("&lt;img" in one for one in said), "the test looks where nothing hostile is"
    for one in said:
        if "meta" not in one:
            assert "<" not in TAGS.sub("", one) and "%{" not in one and "$" not in one, one


def test_pictures_have_no_tags(hostile: Path) -> None:
    (part,) = [page.part(1, *page.read(hostile))]
    for section in part.sections:
        for panel in section.panels:
            title = images.pictured(panel.figure, panel.title, panel.setting)["layout"]["title"]["text"]
            assert "<" not in TAGS.sub("", title) and "%{" not in title


def test_no_field_runs_in_a_browser(open_page: Open, tmp_path: Path) -> None:
    runs = [poisoned_run(tmp_path / f"<b>{cells}", cells=cells, records=samples.swept((2,))) for cells in (True, False)]
    page.write(runs, tmp_path / "page.html")
    found = open_page()
    open_all(found)
    assert found.evaluate("window.hacked") is None
    assert found.evaluate("document.querySelectorAll('.plot a, .plot image, main img, main a').length") == 0
    for again in found.locator("button.again").all()[:3]:
        again.click()
    assert found.evaluate("document.querySelectorAll('#repeat img, #repeat a').length") == 0


@pytest.mark.parametrize("format", ["table", "markdown"])
def test_a_comparison_moves_no_cursor(
    hostile: Path, tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command.compare([hostile], by="impl", base=None, format=format, out=tmp_path / "c.html", threshold=None)
    good = samples.write_run(tmp_path / "good", [*samples.mixed(), *samples.swept()])
    if "window.hacked" not in str(store.load(hostile).records[0]["cell"]):
        lines = (hostile / store.RECORDS_FILE).read_text()
        (hostile / store.RECORDS_FILE).write_text(lines)
        command.compare([good, hostile], by=None, base=None, format=format, out=None, threshold=0.05)
    told = capsys.readouterr().out
    assert TERMINAL.findall(told) == []
    assert format == "table" or "<img" not in told


def test_an_unknown_base_names_the_known_ones_as_they_are(hostile: Path) -> None:
    with pytest.raises(WrongInput, match="no cell of"):
        command.compare([hostile], by="impl", base="x", format="table", out=None, threshold=None)


def test_an_export_to_a_terminal_moves_no_cursor(
    hostile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exports.export(hostile, "csv", None)
    whole = capsys.readouterr().out
    assert "\x1b" in whole, "a file holds what the record does"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for format in ("csv", "json", "markdown"):
        exports.export(hostile, format, None)
        assert TERMINAL.findall(capsys.readouterr().out) == []


FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "a\r=1+1",
    "a\n=1",
    "x\x00=1",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    run = samples.write_run(tmp_path / "r", [samples.make_failure(samples.make_cell(), "crashed", text)])
    exports.export(run, "csv", None)
    whole = capsys.readouterr().out
    (row,) = csv.DictReader(io.StringIO(whole, newline=""))
    assert row["reason"].removeprefix("'") == text.replace("\r", "\n")
    for cell in re.split(r'"(?:[^"]|"")*"|[,\r\n]', whole):  # as a spreadsheet splits it
        assert not re.match(r"\s*[=+@\-＝＋－＠]", cell) or re.fullmatch(r"-?[0-9.e-]*", cell), cell
    quoted = re.findall(r'"((?:[^"]|"")*)"', whole)
    assert not [cell for cell in quoted if re.match(r"\s*[=+@\-＝＋－＠]", cell)]


def test_a_report_is_not_written_where_a_link_in_the_run_leads(good_run: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (good_run / "report.html").symlink_to(tmp_path / "precious")
    with pytest.raises(WrongInput, match="it is a link in a run's folder"):
        page.write([good_run], good_run / "report.html")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_link_of_the_users_own_is_followed(good_run: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "latest.html").symlink_to(tmp_path / "there")
    save(tmp_path / "latest.html", "new")
    assert (tmp_path / "latest.html").is_symlink() and (tmp_path / "there").read_text() == "new"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(WrongInput, match="circle"):
        save(tmp_path / "loop", "new")


def test_no_link_laid_out_beforehand_is_written_through(
    good_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can know the name of the part that is written first; even so."""
    monkeypatch.setattr("secrets.token_hex", lambda _: "known")
    (tmp_path / "precious").write_text("precious")
    (good_run / ".report.html.known.part").symlink_to(tmp_path / "precious")
    with pytest.raises(WrongInput, match="File exists"):
        page.write([good_run], good_run / "report.html")
    assert (tmp_path / "precious").read_text() == "precious" and not (good_run / "report.html").exists()


def test_a_framework_of_any_name_moves_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [samples.make_record(samples.make_cell("gan", BAD, variant=BAD), n) for n in range(3)]
    runs = [samples.write_run(tmp_path / name, records) for name in ("\x1b[31mbase", "new\u202e")]
    command.compare(runs, by=None, base=None, format="table", out=None, threshold=0.05)
    told = capsys.readouterr().out
    assert TERMINAL.findall(told) == [] and told.count("window.hacked") >= 2


def test_json_exports_hold_what_records_do(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.export(hostile, "json", None)
    found = json.loads(capsys.readouterr().out)
    assert {row["reason"] for row in found} == {BAD}


@pytest.mark.parametrize("odd", ["inf", "nan", "-inf", 1e308, -1, 0.5, True, [], {}, "x", 10**30])
def test_no_number_of_run_json_stops_the_page(tmp_path: Path, odd: Any) -> None:
    machine = {"cpu": "A processor", "cores_physical": odd, "memory_bytes": odd, "load_1min": odd, "cores_used": [odd]}
    meta = {"machine": machine, "repeats": odd, "seed": odd, "started_at": odd, "plan": [odd], "samestep": odd}
    read(samples.write_run(tmp_path / "run", samples.all_ok(["jax"], ["lm"], 1), **meta))


def test_a_name_that_no_disk_takes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="File name too long"):
        save(tmp_path / ("x" * 5000), "new")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_not_finite_are_no_points() -> None:
    assert samples.unpacked(html.pack({"y": [1.0, math.inf, (math.nan, 2)], "x": "nan"})) == {
        "y": [1.0, None, [None, 2]],
        "x": "nan",
    }
