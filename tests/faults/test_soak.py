"""A thousand cells: what the runner holds does not grow, and what it does for a cell is cheap."""

from collections.abc import Callable

import pytest

from tests.faults.place import Place

COUNT = 1000
CPU_S = 0.040  # of the runner, for a cell with its visits and the records kept meanwhile; 0.018 on two cores
MEMORY = 4 * 2**20  # bytes that it may grow by in 900 cells


@pytest.mark.long
@pytest.mark.alone
def test_a_thousand_cells(place: Place, tried: Callable[..., None]) -> None:
    runner = place.start(repeats=COUNT // 2, watch=True)
    runner.communicate(timeout=600)
    assert runner.returncode == 0
    cells = place.cells()
    early, late = cells[99], cells[-1]
    print({name: (early[name], late[name]) for name in late}, (late["cpu_s"] - early["cpu_s"]) / (COUNT - 100))
    assert len(cells) == len(place.records()) == COUNT
    assert late["memory"] - early["memory"] < MEMORY
    assert all(late[name] == early[name] for name in ("descriptors", "threads", "scratch", "logs"))
    assert (late["cpu_s"] - early["cpu_s"]) / (COUNT - 100) < CPU_S
    place.nothing_left()
    tried(f"{COUNT} cells in one run", "memory, descriptors and threads flat, under 40 ms a cell")
