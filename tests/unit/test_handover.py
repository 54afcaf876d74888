"""Whatever a worker leaves behind is read as an outcome, and no log grows without bound."""

import json
from pathlib import Path

import pytest

from bench import handover

WHOLE = {"fields": {"status": "ok"}, "reasons": {}, "told_at": 1.0}


def written(folder: Path, text: str) -> handover.Outcome | None:
    (folder / "record.json").write_text(text)
    return handover.read_record(folder)


def test_a_record_is_read(tmp_path: Path) -> None:
    assert handover.read_record(tmp_path) is None
    found = written(tmp_path, json.dumps(WHOLE))
    assert found is not None and found.ok and found.told_at == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(WHOLE)[:30],
        "[]",
        "3",
        "[" * 10**6,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        json.dumps({"fields": {}}),
        json.dumps(WHOLE | {"more": 1}),
        json.dumps(WHOLE | {"fields": []}),
        json.dumps(WHOLE | {"told_at": None}),
        json.dumps(WHOLE | {"fields": {"status": "fine"}}),
        json.dumps(WHOLE | {"fields": {"status": ["ok"]}}),
    ],
)
def test_what_is_no_record_is_a_word(tmp_path: Path, text: str) -> None:
    found = written(tmp_path, text)
    assert found is not None and found.fields["status"] == "crashed"
    assert found.fields["reason"].startswith("the cell wrote a record that cannot be read: ")


def test_a_record_of_any_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "RECORD_BYTES", 1 << 20)
    found = written(tmp_path, " " * (1 << 20) + "1")
    assert found is not None and found.fields["reason"] == "the cell wrote a record of more than 1 MiB"


def test_reasons_are_short_and_printable(tmp_path: Path) -> None:
    fields = {"status": "crashed", "reason": "\x1b[2J\ud800 " + "long " * 10**5}
    found = written(tmp_path, json.dumps(WHOLE | {"fields": fields}))
    assert found is not None
    reason = found.fields["reason"]
    assert len(reason) == handover.REASON_CHARS and reason.isprintable()
    reason.encode()


def test_a_long_log_keeps_its_head_and_its_tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "KEPT_BYTES", 100)
    log = tmp_path / "log"
    log.write_bytes(b"a" * 200)
    handover.trim(log)
    assert log.read_bytes() == b"a" * 200
    log.write_bytes(b"a" * 300 + b"b" * 300)
    handover.trim(log)
    assert log.read_bytes() == b"a" * 100 + b"\n[400 bytes left out]\n" + b"b" * 100
    handover.trim(tmp_path / "none")


def test_the_tail_of_a_log_is_text(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert handover.tail(log) is None
    log.write_bytes(bytes(range(256)) * 100 + b"\nthe end\n")
    found = handover.tail(log)
    assert found is not None and found.endswith("\nthe end")
    assert all(line.isprintable() for line in found.replace("\t", "").split("\n"))


def test_signals_have_a_name() -> None:
    assert (handover.signal_name(9), handover.signal_name(40)) == ("SIGKILL", "signal 40")
