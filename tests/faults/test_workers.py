"""Whatever a worker does, its cell has its word, nothing is left of it, and the other cells run.

One run measures a copy of the fake framework for each fault, and healthy ones between them.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bench import handover, store
from bench.record import Record
from tests.faults.place import Place, agrees

TIMEOUT_S = 5.0
MORE_S = 20.0  # that ending a cell may take on a busy machine


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What a worker does, and what must come of it."""

    name: str  # in the table
    fake: str  # see `tests/fake/faults.py`
    status: str
    reason: str = "^$"  # a pattern
    tail: str | None = None  # another, of the log's tail
    within_s: float = MORE_S


def raises(phase: str, fake: str, where: str) -> Fault:
    return Fault(
        name=f"raises {where}",
        fake=f"raise-{fake}",
        status="crashed",
        reason=f"^RuntimeError in {phase}: the fault that was asked for$",
        tail="RuntimeError: the fault that was asked for",
    )


def hangs(name: str, fake: str) -> Fault:
    reason = f"^the cell took longer than {TIMEOUT_S:g} s$"
    return Fault(name=name, fake=fake, status="timeout", reason=reason, within_s=TIMEOUT_S + MORE_S)


def writes(name: str, fake: str) -> Fault:
    return Fault(name=name, fake=fake, status="crashed", reason="^the cell wrote a record that ")


FAULTS = (
    Fault(name="is killed by SIGKILL", fake="kill-steady", status="killed", reason="^the cell was ended by SIGKILL$"),
    Fault(name="is killed by a real-time signal", fake="realtime-step", status="killed", reason=r"by signal \d+$"),
    hangs("is stopped by SIGSTOP", "stop-steady"),
    hangs("waits in native code and holds the interpreter", "native-steady"),
    hangs("computes in native code and holds the interpreter", "spin-step"),
    Fault(
        name="floods its log",
        fake="flood-step",
        status="crashed",
        reason="^the cell wrote more than 64 MiB to its log and was ended$",
        tail="the same line again and again",
    ),
    Fault(
        name="prints binary and sequences for the terminal",
        fake="binary-step",
        status="crashed",
        reason="^the cell ended with exit code 3",
        tail="\N{REPLACEMENT CHARACTER}",
    ),
    Fault(
        name="exits with 0 and no record", fake="exit0-step", status="crashed", reason="exit code 0 and wrote no rec"
    ),
    Fault(name="calls sys.exit(0)", fake="sysexit-build", status="crashed", reason="and wrote no record$"),
    writes("writes half a record", "half-step"),
    writes("writes a record that is a list", "list-step"),
    writes("writes a record nested a million deep", "nested-step"),
    writes("writes a record with nothing in it", "hollow-step"),
    Fault(name="leaves a daemon that ignores SIGTERM and listens on a port", fake="daemon-build", status="ok"),
    Fault(name="leaves shared memory and is killed", fake="shm-step", status="killed", reason="ended by SIGKILL$"),
    Fault(
        name="runs out of memory (rlimit)",
        fake="rlimit-step",
        status="oom",
        reason="^MemoryError in",
        tail="MemoryError",
    ),
    raises("init", "init", "as it starts the runtime"),
    raises("init", "put", "as it copies a batch"),
    raises("init", "sync", "as it waits for the device"),
    raises("compile", "build", "as it builds"),
    raises("compile", "step", "in the first step"),
    raises("warm-up", "warm", "in the warm-up"),
    raises("steady state", "steady", "in the steady state"),
    raises("steady state", "export", "as it reads parameters"),
    raises("steady state", "memory", "as it counts memory"),
    raises("steady state", "threads", "as it tells its threads"),
    raises("steady state", "versions", "as it tells its versions"),
    raises("steady state", "optimisations", "as it tells its optimisations"),
    raises("precision probes", "probe", "as its precision is probed"),
    Fault(name="returns NaN", fake="nan", status="nan", reason="^loss reconstruction is nan at step 0$"),
    Fault(name="prints while it is imported", fake="print-import", status="ok"),
    Fault(
        name="fails to import",
        fake="raise-import",
        status="crashed",
        reason="^the template process ended while it imported numpy$",
        tail="the fault that was asked for",
    ),
)
HEALTHY = ("first", "healthy", "last")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(root=tmp_path_factory.mktemp("workers"))
    copies: dict[str, dict[str, str]] = {name: {} for name in HEALTHY}
    copies |= {fault.fake: {"FAKE_FAULT": fault.fake} for fault in FAULTS}
    code, said = place.go(copies=copies, repeats=1, timeout_s=TIMEOUT_S)
    assert code == 1, said[-5:]
    return place


@pytest.fixture(scope="module")
def records(place: Place) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in place.records():
        found[record["cell"]["impl"]].append(record)
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.fake for fault in FAULTS])
def test_a_fault_has_its_word(
    fault: Fault, place: Place, records: dict[str, list[Record]], tried: Callable[..., None]
) -> None:
    (found,) = records[fault.fake]
    agrees(found, fault.status, fault.reason, fault.tail)
    *_, cell = [one for one in place.cells() if one["impl"] == fault.fake]  # out of memory in company, it runs again
    assert cell["left"] == [] and cell["seconds"] < fault.within_s
    tried(f"a worker {fault.name}", fault.status)


def test_healthy_cells_run_among_them(records: dict[str, list[Record]]) -> None:
    assert [(len(records[name]), records[name][0]["status"]) for name in HEALTHY] == [(1, "ok")] * len(HEALTHY)


def test_nothing_is_left(place: Place) -> None:
    place.nothing_left()


def test_logs_are_bounded_and_records_are_printable(place: Place, records: dict[str, list[Record]]) -> None:
    sizes = [file.stat().st_size for file in (place.run / store.LOGS).iterdir()]
    assert max(sizes) > 2 * handover.KEPT_BYTES, "the flood is kept in part"
    assert max(sizes) < 2.1 * handover.KEPT_BYTES
    for found in (record for all_of in records.values() for record in all_of):
        texts: list[Any] = [found["reason"] or "", found["log_tail"] or ""]
        assert all(one.isprintable() for text in texts for line in text.splitlines() for one in line.split("\t"))
