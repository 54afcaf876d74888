"""The table of faults is made of what each process of the suite tried."""

import pytest

from scripts.faults import table, together


def test_times_of_a_fault_add_up() -> None:
    parts = [
        {"kill": {"times": 2, "outcome": "kept"}},
        {"kill": {"times": 1, "outcome": "kept"}, "a": {"times": 1, "outcome": "ok"}},
    ]
    assert table(together(parts)).splitlines()[2:] == ["| a | 1 | ok |", "| kill | 3 | kept |"]


def test_a_fault_with_two_outcomes_is_refused() -> None:
    with pytest.raises(ValueError, match="kept in one test, lost in another"):
        together([{"kill": {"times": 1, "outcome": "kept"}}, {"kill": {"times": 1, "outcome": "lost"}}])
