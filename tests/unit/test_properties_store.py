"""Whatever records, wherever the file was cut, whatever lies between: every whole line comes back as it was written."""

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench import record, store
from bench.reading import MAX_DEPTH, parsed, too_deep
from tests.unit.test_record import failed, plain, same

texts = st.text(max_size=20)
records = st.fixed_dictionaries(
    {
        "repeat": st.integers(0, 99), "status": st.sampled_from(record.STATUSES), "reason": texts, "losses": plain,
        "versions": st.dictionaries(texts, texts, max_size=2),
    }
).map(lambda changed: failed() | {"run": "run"} | changed)  # fmt: skip
several = st.lists(records, min_size=1, max_size=4, unique_by=lambda one: one["repeat"])  # of as many processes
ANYTHING = st.binary(max_size=200) | texts.map(str.encode) | st.sampled_from([b"", b"\x00", b"{", b"[" * 9999, b"null"])


def loaded(content: bytes) -> tuple[list[record.Record], list[str]]:
    """The records of a file, and the warnings."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        folder = store.create(Path(scratch) / "run", {"schema": record.SCHEMA})
        (folder / store.RECORDS_FILE).write_bytes(content)
        return store.load(folder).records, [str(one.message) for one in said]


def written(made: Sequence[record.Record]) -> list[bytes]:
    return [record.encode(one).encode() for one in made]


@given(several, st.data())
def test_a_cut_anywhere_costs_the_line_that_it_went_through(made: list[record.Record], data: st.DataObject) -> None:
    lines = written(made)
    whole = b"".join(line + b"\n" for line in lines)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(len(line) + 1 for line in lines[: n + 1]) - 1 for n in range(len(lines))]
    kept = sum(cut >= end for end in ends)
    torn = cut > (ends[kept - 1] + 1 if kept else 0)
    found, said = loaded(whole[:cut])
    assert [record.encode(one).encode() for one in found] == lines[:kept]
    assert said == [] if not torn else len(said) == 1 and f"line {kept + 1} is no whole record" in said[0]


@given(several, ANYTHING, st.data())
def test_what_lies_between_harms_no_other_line(made: list[record.Record], odd: bytes, data: st.DataObject) -> None:
    lines = written(made)
    place = data.draw(st.integers(0, len(lines)))
    found, _ = loaded(b"\n".join([*lines[:place], odd, *lines[place:]]))
    assert [record.encode(one).encode() for one in found] == lines


apart = st.lists(
    records, min_size=1, max_size=3, unique_by=(lambda one: one["repeat"] // 10, lambda one: one["repeat"] % 10)
)


@given(apart, st.data())  # so that no byte makes one process another
def test_a_byte_that_changed_harms_no_other_line(made: list[record.Record], data: st.DataObject) -> None:
    lines = written(made)
    whole = bytearray(b"\n".join(lines) + b"\n")
    place, value = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
    hit = bytes(whole[:place]).count(b"\n")
    whole[place] = value
    found, _ = loaded(bytes(whole))
    others = [line for n, line in enumerate(lines) if n not in (hit, hit + 1)]
    left = iter([record.encode(one).encode() for one in found])
    assert all(line in left for line in others), "in their order"


@given(st.lists(records, max_size=6), st.data())
def test_the_last_line_of_each_process_counts(made: list[record.Record], data: st.DataObject) -> None:
    """However often each has been written, before and after the file was rewritten with some of them judged."""
    made = [one | {"repeat": one["repeat"] % 3} for one in made]
    last = {one["repeat"]: one for one in made}
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.create(Path(scratch) / "run", {"schema": record.SCHEMA})
        (folder / store.RECORDS_FILE).write_bytes(b"".join(line + b"\n" for line in written(made)))
        assert written(store.load(folder).records) == written(list(last.values()))
        judged = data.draw(st.lists(st.sampled_from(list(last)), unique=True)) if last else []
        last |= {repeat: last[repeat] | {"reason": "judged"} for repeat in judged}
        with store.writing(folder) as journal:
            journal.settle([last[repeat] for repeat in judged])
        lines = (folder / store.RECORDS_FILE).read_bytes().splitlines()
        assert lines == written(list(last.values()))


@given(records)
def test_a_record_comes_back_as_it_was(made: record.Record) -> None:
    once = record.decode(record.encode(made))
    assert same(once, made)
    assert record.decode(record.encode(once)) == once


nested = st.recursive(
    st.integers() | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(nested, st.integers(0, MAX_DEPTH + 20), st.booleans())
def test_the_depth_is_what_recursion_would_find(value: Any, more: int, named: bool) -> None:
    for _ in range(more):
        value = {"x": value} if named else [value]
    assert too_deep(value) == (depth(value) > MAX_DEPTH)


@given(st.text(alphabet='{}[]",:\\ 0123456789.eE+-NaInfityxtrulsn\x00\ud800é', max_size=60))
def test_any_text_is_json_or_refused(text: str) -> None:
    try:
        parsed(text)
    except ValueError:
        return
