"""A record is complete, whatever came back from a cell: every null has its reason, whatever schema it was read from."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import record, upgrade
from bench.record import FIELDS, NULL_WITHOUT_REASON, PARTS

value = st.none() | st.integers(0, 9) | st.floats() | st.text(max_size=5)
windows = st.none() | st.lists(st.fixed_dictionaries({"seconds": value, "steps": value, "steal_s": value}), max_size=2)
OWN = ("schema", "absent", "status", "windows")
known = st.fixed_dictionaries(
    {"status": st.sampled_from(record.STATUSES), "cell": st.just({}), "cell_id": st.just("c")},
    optional={
        "windows": windows,
        **{name: st.none() | st.dictionaries(st.sampled_from(of), value, max_size=3) for name, of in PARTS.items()},
        **{name: value for name in FIELDS if name not in (*OWN, *PARTS, "cell", "cell_id")},
    },
)  # fmt: skip
reasons = st.dictionaries(
    st.sampled_from(
        [*FIELDS, *(f"{name}.{part}" for name, parts in PARTS.items() for part in parts), "windows.steal_s"]
    ),
    st.text(min_size=1, max_size=5),
)


def nulls(found: dict[str, Any]) -> set[str]:
    """Dotted names of all that is null and should have a reason, found apart from the code under test."""
    told = {name for name in FIELDS if found[name] is None} - {*NULL_WITHOUT_REASON}
    for name in PARTS:
        told |= {f"{name}.{part}" for part in PARTS[name] if found[name] is not None and found[name][part] is None}
    told |= {f"windows.{part}" for window in (found["windows"] or ())[:1] for part in window if window[part] is None}
    return told - {"parity.reason"}


@given(known, reasons)
def test_every_null_has_its_reason_or_there_is_no_record(found: dict[str, Any], why: dict[str, str]) -> None:
    try:
        made = record.complete(found, why)
    except ValueError as error:
        name = str(error).split()[3]
        assert found["status"] == "ok" and name not in why and name.split(".")[0] not in why
        return
    assert tuple(made) == FIELDS and made["schema"] == record.SCHEMA
    assert set(made["absent"]) == nulls(made)
    assert all(made["absent"].values())
    for name in PARTS:
        assert made[name] is None or tuple(made[name]) == PARTS[name]


@given(known, st.sampled_from(["speed", "step_ms", "Status"]))
def test_nothing_else_enters_a_record(found: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match="no such field"):
        record.complete({**found, name: 1}, {})


CAME_IN_5 = ("interpreter", "price_per_hour", "visits")  # or later
CAME_AFTER = {  # fields that a schema did not have
    1: ("drift", "communication", *CAME_IN_5), 2: ("communication", *CAME_IN_5), 3: CAME_IN_5, 4: CAME_IN_5,
    5: ("visits",),
}  # fmt: skip
TOUCHED = {
    5: {"schema", "absent", "windows", "visits", "sync_check"}
}  # that the steps from a schema on may make null, or explain
TOUCHED[4] = TOUCHED[5] | {*CAME_IN_5}
TOUCHED[3] = TOUCHED[4] | {"parity"}
TOUCHED[2] = TOUCHED[3] | {"communication", "memory_bytes", "threads", "ranks"}
TOUCHED[1] = TOUCHED[2] | {"drift"}


@given(known, st.integers(1, record.SCHEMA - 1))
def test_so_it_is_after_an_upgrade(found: dict[str, Any], schema: int) -> None:
    made = record.complete(found, dict.fromkeys(FIELDS, "why"))
    old = {name: one for name, one in made.items() if name not in CAME_AFTER[schema]} | {"schema": schema}
    before = copy.deepcopy(old)
    new = upgrade.upgraded(old)
    assert tuple(new) == FIELDS and new["schema"] == record.SCHEMA
    assert nulls(new) - set(new["absent"]) == set()
    assert repr(old) == repr(before), "what was read is left as it was"
    assert all(repr(new[name]) == repr(made[name]) for name in set(FIELDS) - TOUCHED[schema])
