"""Records: complete, explained where null, JSON that any reader takes."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import record
from bench.runner import NOT_MEASURED


def failed(status: str = "crashed") -> record.Record:
    return record.complete({"cell": {}, "cell_id": "0", "status": status, "reason": "why"}, {})


def test_every_field_is_there() -> None:
    assert tuple(failed()) == record.FIELDS


def test_every_null_has_its_reason() -> None:
    found = failed()
    for name in record.FIELDS:
        if found[name] is None and name not in record.NULL_WITHOUT_REASON:
            assert found["absent"][name]
    assert found["absent"]["windows"] == "the cell is crashed"


def test_null_without_a_reason_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="null without a reason"):
        record.complete({"cell": {}, "cell_id": "0", "status": "ok"}, {})


def test_parts_are_explained_one_by_one() -> None:
    found = record.complete(
        {"cell": {}, "cell_id": "0", "status": "crashed", "memory_bytes": {"host_peak": 5}},
        {"memory_bytes.device_peak": "no device"},
    )
    assert found["memory_bytes"]["host_peak"] == 5 and found["memory_bytes"]["device_peak"] is None
    assert found["absent"]["memory_bytes.device_peak"] == "no device"


def test_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="no such field"):
        record.complete({"speed": 3, "status": "crashed"}, {})


def test_reasons_name_real_fields() -> None:
    for name in NOT_MEASURED:
        field, _, part = name.partition(".")
        assert field in record.FIELDS and (not part or field == "windows" or part in record.PARTS[field])


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(plain)
def test_encoding_is_one_line_of_strict_json(value: Any) -> None:
    line = record.encode({**failed(), "losses": value})
    assert "\n" not in line
    strict = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert same(strict["losses"], value)
    assert record.decode(line) == strict


def same(read: Any, written: Any) -> bool:
    if isinstance(written, float) and not math.isfinite(written):
        return read == {math.inf: "inf", -math.inf: "-inf"}.get(written, "nan")
    if isinstance(written, dict):
        return set(read) == set(written) and all(same(read[key], item) for key, item in written.items())
    if isinstance(written, list):
        return len(read) == len(written) and all(map(same, read, written))
    return read == written


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"schema": 1}', "null"])
def test_what_is_no_record_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        record.decode(line)
