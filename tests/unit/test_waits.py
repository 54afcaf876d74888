"""The wait check on windows that were recorded and on such as are made up: honest cells are never accused."""

import json
import random
from pathlib import Path

import pytest

from bench import waits
from bench.waits import Wait

BUSY = Path(__file__).parents[1] / "data" / "waits-busy.json"


def some(count: int, rewait_s: float, control_s: float = 0.001) -> list[Wait]:
    return [Wait(window_s=0.1, rewait_s=rewait_s, control_s=control_s)] * count


@pytest.mark.parametrize(
    ("count", "rewait_s", "accused"),
    [(20, 0.0014, False), (20, 0.0016, True), (13, 0.5, False), (14, 0.5, True), (5, 0.5, False)],
)
def test_only_the_excess_counts_and_only_if_it_shows_often_enough(count: int, rewait_s: float, accused: bool) -> None:
    assert bool(waits.fault(some(count, rewait_s))) is accused


def test_the_reason_says_what_was_seen() -> None:
    reason = waits.fault(some(20, 0.0024))
    assert reason == "the second wait took 1.4 ms longer than on an idle device, behind 20 of 20 windows of 100 ms"


def test_more_windows_are_asked_for_only_while_many_exceed() -> None:
    assert waits.suspected(some(5, 0.5))
    assert not waits.suspected(some(14, 0.5)), "it is decided"
    assert not waits.suspected(some(1, 0.5) + some(3, 0.001))
    assert not waits.suspected(some(waits.MOST // 2, 0.001) + some(waits.MOST // 2, 0.5)), "these are enough"


@pytest.mark.parametrize("count", [5, 10, 24])
def test_cells_beside_busy_processes_are_not_accused(count: int) -> None:
    """A thousand cells drawn from windows that honest cells had while busy processes took the cores."""
    draw = random.Random(f"cells of {count} windows")
    for name, rows in json.loads(BUSY.read_text())["cells"].items():
        honest = [Wait(window_s=w, rewait_s=r, control_s=c) for w, r, c in rows]
        for _ in range(1000):
            cell = draw.choices(honest, k=count)
            while waits.suspected(cell):
                cell.append(draw.choice(honest))
            assert waits.fault(cell) is None, name


def test_a_wait_that_leaves_out_a_twentieth_is_accused_beside_busy_processes() -> None:
    draw = random.Random("liars")
    for name, rows in json.loads(BUSY.read_text())["cells"].items():
        liars = [Wait(window_s=w, rewait_s=r + 0.05 * w, control_s=c) for w, r, c in rows]
        for _ in range(100):
            cell = draw.choices(liars, k=20)
            while waits.suspected(cell):
                cell.append(draw.choice(liars))
            assert waits.fault(cell), name
