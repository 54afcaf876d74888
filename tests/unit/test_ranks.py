"""One outcome from what the processes of a cell found, and what each of them is asked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import ranks
from bench.ranks import Outcome
from bench.spec import Request
from tests.unit.test_spec import CELL


def asked(count: int, cpus: tuple[int, ...], folder: Path) -> list[Request]:
    request = Request(cell=CELL, task="measure", folder=str(folder), threads=max(1, len(cpus)), cpus=cpus)
    return ranks.requests(request, count)


def test_one_process_is_asked_as_it_is(tmp_path: Path) -> None:
    (one,) = asked(1, (0, 1), tmp_path)
    assert (one.rank, one.ranks, one.folder, one.threads, one.cpus) == (0, 1, str(tmp_path), 2, (0, 1))


def test_each_has_cores_of_its_own_where_there_are_enough(tmp_path: Path) -> None:
    found = asked(2, (0, 1, 2, 3), tmp_path)
    assert [one.cpus for one in found] == [(0, 2), (1, 3)] and [one.threads for one in found] == [2, 2]
    assert len({one.folder for one in found}) == 2 and len({one.rendezvous for one in found}) == 1


def test_else_one_thread_on_any_core(tmp_path: Path) -> None:
    found = asked(8, (0, 1), tmp_path)
    assert {one.cpus for one in found} == {(0, 1)} and {one.threads for one in found} == {1}


def outcome(rank: int, seconds: float = 1.0, cores: tuple[int, ...] = (0, 1), **changed: Any) -> Outcome:
    cpu = {"cpu_s": 0.5, "foreign_cpu_s": 0.6, "steal_s": 0.2}
    fields: dict[str, Any] = {
        "status": "ok", "reason": None, "phases_s": {"import": 1.0, "init": 0.1 + rank},
        "ranks": [{"rank": rank, "device": "cpu", "window_s": [seconds], "host_peak": 10}],
        "windows": [{"steps": 5, "seconds": 2.0, **cpu}],
        "sync_check": {"median_share": 0.001 * (1 + rank), "max_share": 0.01},
        "threads": {"intra": 1, "inter": 1, "affinity": list(cores), "total": 4},
        "memory_bytes": {
            "device_peak": [rank], "device_steady": None, "device_source": "x",
            "host_peak": 30, "host_steady": 20, "host_baseline": 10,
        },
    }  # fmt: skip
    return Outcome(fields=fields | changed)


def test_one_cell_from_its_processes() -> None:
    fields = ranks.joined([outcome(0), outcome(1, 2.0)]).fields
    assert fields["phases_s"] == {"import": 1.0, "init": 1.1}
    assert [rank["window_s"] for rank in fields["ranks"]] == [[1.0], [2.0]]
    assert fields["memory_bytes"] == {
        "device_peak": [0, 1], "device_steady": None, "device_source": "x",
        "host_peak": 60, "host_steady": 40, "host_baseline": 20,
    }  # fmt: skip
    assert fields["threads"] == {"intra": 1, "inter": 1, "affinity": [0, 1], "total": 8}
    assert fields["sync_check"]["median_share"] == 0.002


def test_processes_on_the_same_cores_are_not_foreign_to_one_another() -> None:
    """Each saw 1.1 s of busy cores, 0.5 of them its own and 0.5 the other's."""
    (window,) = ranks.joined([outcome(0), outcome(1)]).fields["windows"]
    assert window["cpu_s"] == 1.0
    assert window["foreign_cpu_s"] == pytest.approx(0.1)
    assert window["steal_s"] == pytest.approx(0.2)


def test_processes_on_cores_of_their_own_add_up() -> None:
    (window,) = ranks.joined([outcome(0, cores=(0,)), outcome(1, cores=(1,))]).fields["windows"]
    assert window["foreign_cpu_s"] == pytest.approx(1.2) and window["steal_s"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("failures", "status", "reason"),
    [
        ([("ok", None, 9.0), ("killed", "x", 0.0)], "killed", "rank 1: x"),
        ([("killed", ranks.ENDED, 0.0), ("crashed", "y", 5.0)], "crashed", "rank 1: y"),
        ([("crashed", "connection closed", 6.0), ("killed", "by SIGKILL", 0.0)], "killed", "rank 1: by SIGKILL"),
        ([("crashed", "connection closed", 6.0), ("oom", "memory", 5.0)], "oom", "rank 1: memory"),
        ([("killed", ranks.ENDED, 0.0), ("ok", None, 4.0), ("invalid", "sync", 5.0)], "invalid", "rank 2: sync"),
        ([("timeout", "late", 0.0), ("timeout", "late", 0.0)], "timeout", "rank 0: late"),
    ],
)
def test_the_failure_that_came_first_is_the_cells(failures: Any, status: str, reason: str) -> None:
    found = ranks.joined(
        [
            replace(outcome(rank, status=one, reason=why), told_at=told_at)
            for rank, (one, why, told_at) in enumerate(failures)
        ]
    )
    assert (found.fields["status"], found.fields["reason"]) == (status, reason)
