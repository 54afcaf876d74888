"""Runs of strangers: bounded, plain files of their own folder, and whatever stands in them never more than one line."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import cli, reading, record, store
from bench.reading import Limits
from bench.spec import WrongInput
from tests.unit.test_record import failed

GOOD = record.encode(failed())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store.create(tmp_path / "run", {"schema": record.SCHEMA})
    (tmp_path / "run" / store.RECORDS_FILE).write_text(f"{GOOD}\n{GOOD}\n")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        (Limits(run_bytes=5), "run.json is larger than 5 bytes"),
        (Limits(line_bytes=50), "records.jsonl line 1 is longer than 50 bytes"),
        (Limits(records_bytes=100), "records.jsonl is larger than 100 bytes"),
        (Limits(records=1), "records.jsonl has more than 1 lines"),
    ],
)
def test_what_is_too_large_is_one_line_that_says_what_to_do(folder: Path, limits: Limits, line: str) -> None:
    assert len(store.load(folder).records) == 2
    with pytest.raises(WrongInput, match=line) as told:
        store.load(folder, limits)
    assert "docs/security.md says how to read so large a run" in str(told.value)


def test_at_the_limit_it_is_read(folder: Path) -> None:
    size = (folder / store.RECORDS_FILE).stat().st_size
    limits = Limits(run_bytes=(folder / store.RUN_FILE).stat().st_size, line_bytes=len(GOOD) + 1, records_bytes=size)
    assert len(store.load(folder, limits).records) == 2


def test_a_sparse_file_of_a_terabyte_is_not_read(folder: Path) -> None:
    os.truncate(folder / store.RECORDS_FILE, 1 << 40)
    with pytest.raises(WrongInput, match="larger than 512 MiB"):
        store.load(folder)


def test_blank_lines_count_as_lines(folder: Path) -> None:
    (folder / store.RECORDS_FILE).write_text("\n" * (reading.LIMITS.records + 1))
    with pytest.raises(WrongInput, match="more than 100,000 lines"):
        store.load(folder)


def link_out(path: Path) -> None:
    path.with_name("outside").write_text("precious")
    path.symlink_to(path.with_name("outside"))
    path.with_name("outside").rename(path.parents[1] / "outside")
    path.unlink()
    path.symlink_to(path.parents[1] / "outside")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


STRANGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "link out": (link_out, "leads out of the run's folder"),
    "link up": (lambda path: path.symlink_to("../../../../../../etc/hostname"), "leads out of the run's folder"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "leads out of the run's folder"),
    "circle": (lambda path: path.symlink_to(path), "circle"),
    "pipe": (os.mkfifo, "no plain file"),
    "socket": (bound, "no plain file"),
    "folder": (lambda path: path.mkdir(), "no plain file"),
    "link to nothing": (lambda path: path.symlink_to("nothing"), "cannot read"),
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("name", [store.RUN_FILE, store.RECORDS_FILE])
def test_nothing_but_plain_files_of_the_folder_is_opened(
    folder: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe would block for ever: nothing that is no plain file is opened at all."""
    monkeypatch.chdir(folder.parent)  # a socket's name must be short
    make, line = STRANGE[kind]
    (folder / name).unlink()
    make(Path(folder.name) / name if kind == "socket" else folder / name)
    opened: list[str] = []
    monkeypatch.setattr(os, "open", lambda path, *_: opened.append(str(path)) or pytest.fail("opened"))
    expected = f"{line}|is no run" if name == store.RUN_FILE else line
    if name == store.RECORDS_FILE:
        monkeypatch.setattr(store.reading, "whole", lambda *_: (folder / store.RUN_FILE).read_bytes())
    with pytest.raises(WrongInput, match=expected):
        store.load(folder)
    assert opened == []


def test_a_link_within_the_folder_and_the_folder_as_a_link_are_followed(folder: Path) -> None:
    (folder / store.RECORDS_FILE).rename(folder / "elsewhere")
    (folder / store.RECORDS_FILE).symlink_to("elsewhere")
    folder.with_name("link").symlink_to(folder)
    assert len(store.load(folder.with_name("link")).records) == 2


DEEP = f'{{"schema": 4, "cell": {{}}, "cell_id": "c", "status": "ok", "machine": {"[" * 70}{"]" * 70}}}'


@pytest.mark.parametrize(
    ("content", "records", "told"),
    [
        (b"", 0, []),
        (b"\n\n \r\n\t\n", 0, []),
        (b"\xef\xbb\xbf" + GOOD.encode() + b"\n", 1, []),
        (GOOD.encode() + b"\r\n" + GOOD.encode() + b"\r\n", 2, []),
        (GOOD.encode() + b"\x00\n", 0, ["line 1 is no whole record"]),
        (b"\x00" * 4096, 0, ["line 1 is no whole record"]),
        (GOOD.encode().replace(b"crashed", b"cra\xffhed"), 1, ["line 1 holds bytes that are no text"]),
        (b"[" * 100_000 + b"]" * 100_000, 0, ["line 1 is nested deeper than 64 levels"]),
        (b'{"a":' * 100_000, 0, ["line 1 is nested deeper than 64 levels"]),
        (DEEP.encode(), 0, ["line 1 is nested deeper than 64 levels"]),
        (DEEP.encode().replace(b"[" * 70, b"[" * 60).replace(b"]" * 70, b"]" * 60), 1, []),
        (GOOD.replace(f'"schema":{record.SCHEMA}', '"schema":"5"').encode(), 0, ["line 1 is no whole record"]),
        (GOOD.replace(f'"schema":{record.SCHEMA}', '"schema":true').encode(), 0, ["line 1 is no whole record"]),
        (GOOD.replace('"cell":{}', '"cell":[]').encode(), 0, ["line 1 is no whole record"]),
        (GOOD.replace('"cell_id":"0"', '"cell_id":0').encode(), 0, ["line 1 is no whole record"]),
        (b"x\n" * 500, 0, [f"line {n} is no whole record" for n in range(1, 11)] + ["the same of 490 further lines"]),
    ],
)
def test_odd_files_are_read_as_far_as_they_hold_records(
    folder: Path, content: bytes, records: int, told: list[str], recwarn: pytest.WarningsRecorder
) -> None:
    (folder / store.RECORDS_FILE).write_bytes(content)
    assert len(store.load(folder).records) == records
    said = [str(one.message) for one in recwarn]
    assert len(said) == len(told) and all(part in line for part, line in zip(told, said, strict=True))


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), ("9" * 19, int("9" * 19)), ("1" + "0" * 30, 1e30),
        ("9" * 5000, float("inf")), ("1e999", float("inf")), ("-0", 0), ("1.5", 1.5),
    ],
)  # fmt: skip
def test_numbers_beyond_all_bounds(folder: Path, literal: str, value: Any) -> None:
    line = GOOD.replace('"repeat":null', f'"repeat":{literal}')
    (folder / store.RECORDS_FILE).write_text(line)
    (found,) = store.load(folder).records
    assert found["repeat"] == value and type(found["repeat"]) is type(value)
    json.loads(record.encode(found), parse_constant=pytest.fail)


def test_of_a_name_given_twice_the_last_counts(folder: Path) -> None:
    (folder / store.RECORDS_FILE).write_text(GOOD[:-1] + ',"reason":"first","reason":"last"}')
    assert store.load(folder).records[0]["reason"] == "last"


LONG = b'{"schema": "\x1b[31m' + b"x" * 5000 + b'"}'
ODD = (b"", b"\x00", b"\xff{}", b"[]", b"null", b"{", b'{"schema": 1e999}', b'{"schema": true}', b'{"schema": 0}', LONG)


@pytest.mark.parametrize("content", ODD)
def test_an_odd_run_file_is_one_line(folder: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / store.RUN_FILE).write_bytes(content)
    assert cli.guard(lambda: cli.app(["export", str(folder)], standalone_mode=False)) == 2
    told = capsys.readouterr().err
    assert told.startswith("bench: ") and told.count("\n") == 1 and len(told) < 400 and "\x1b" not in told


def test_a_byte_order_mark_before_the_run_file_is_no_obstacle(folder: Path) -> None:
    (folder / store.RUN_FILE).write_bytes(b"\xef\xbb\xbf" + b'{"schema": 4, "seed": 7}\r\n')
    assert store.load(folder).meta["seed"] == 7


def test_a_folder_name_moves_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.guard(lambda: cli.app(["export", str(tmp_path / "\x1b[2J\u202eevil")], standalone_mode=False)) == 2
    told = capsys.readouterr().err
    assert "evil is no run" in told and not {"\x1b", "\u202e"} & set(told)
