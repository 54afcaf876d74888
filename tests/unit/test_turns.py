"""Whose turn it is, with cells that are no processes: exact and instant."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bench import turns
from bench.machine import memory
from bench.plan import Job
from bench.ranks import Outcome
from bench.spec import Request
from tests.unit.test_spec import CELL

GIB = 1 << 30
CELLS = [replace(CELL, workload=w, impl=i) for w in ("gan", "lm") for i in ("torch", "tf", "jax")]


@dataclass
class FakeCell:
    """A live cell by its interface alone."""

    job: Job
    lasts: int  # visits, after which it ends by itself
    status: str = "ok"
    begun_at: float = 0.0
    window_s: float = 0.25
    visits: int = 0
    windows: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    spent_s: float = 6.0
    outcome: Outcome | None = None
    request: Request = field(default_factory=lambda: Request(cell=CELL, task="measure", folder="", min_time_s=1.0))

    @property
    def visits_left(self) -> int:
        return self.visits - len(self.windows)

    def warm_up(self) -> bool:
        return self._lives()

    def visit(self) -> bool:
        if self._lives():
            self.windows.append({"seconds": 0.25, "steps": 1 + len(self.windows) % 2})
            return True
        return False

    def _lives(self) -> bool:
        if len(self.windows) >= self.lasts:
            self.outcome = Outcome.failed(self.status, "as was asked for")
        return self.outcome is None

    def so_far(self) -> Outcome:
        return Outcome(fields={"status": "ok", "windows": list(self.windows)})

    def abandon(self) -> None:
        self.outcome = self.outcome or Outcome.failed("killed", "abandoned")


@dataclass
class FakeRunner:
    need: int = GIB
    lasts: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])  # by impl
    alive: int = 0
    most: int = 0
    told: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # what was done to which cell
    started: Counter[Job] = field(default_factory=Counter[Job])

    def begin(self, job: Job) -> Any:
        self.alive += 1
        self.most = max(self.most, self.alive)
        self.started[job] += 1
        self.told.append(("begin", job.cell.label))
        lasts, status = self.lasts.get(job.cell.impl, (10**6, "ok"))
        if self.started[job] > 1:
            lasts = 10**6
        return FakeCell(job=job, lasts=lasts, status=status)

    def end(self, cell: Any, since: float) -> Outcome:
        self.alive -= 1
        self.told.append(("end", cell.job.cell.label))
        return cell.outcome or Outcome(fields={"status": "ok", "windows": list(cell.windows), "whole": True})

    def held(self, cells: Any) -> int:
        return self.need * len(cells)

    def record(self, job: Job, outcome: Outcome) -> dict[str, Any]:
        return {"cell": job.cell, "repeat": job.repeat, **outcome.fields}


class NoProgress:
    def now(self, job: Job, doing: str) -> None: ...
    def advance(self, job: Job, share: float) -> None: ...


def measured(
    runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, room: int = 100 * GIB, repeat: int = 0
) -> list[dict[str, Any]]:
    monkeypatch.setattr(memory, "available", lambda: room - runner.need * runner.alive)
    kept: list[dict[str, Any]] = []
    rounds = turns.Rounds(runner=runner, keep=kept.append, progress=NoProgress(), draw=random.Random(7))
    rounds.measure([Job(cell=cell, repeat=repeat) for cell in CELLS])
    return kept


def whole(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in kept if one.get("whole")]


def test_all_are_alive_together_and_each_has_its_visits(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = FakeRunner()
    kept = measured(runner, monkeypatch)
    assert runner.most == len(CELLS)
    assert {one["cell"] for one in whole(kept)} == set(CELLS)
    assert {len(one["windows"]) for one in whole(kept)} == {5}


def test_the_first_window_of_each_process_is_kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the next one starts: whatever ends the run, something was measured."""
    runner, kept = FakeRunner(), list[Any]()
    monkeypatch.setattr(memory, "available", lambda: 100 * GIB)
    rounds = turns.Rounds(
        runner=runner, keep=lambda one: kept.append((runner.alive, one)), progress=NoProgress(), draw=random.Random(7)
    )
    rounds.measure([Job(cell=cell, repeat=0) for cell in CELLS])
    assert [alive for alive, one in kept if len(one["windows"]) == 1] == [1, 2, 3, 4, 5, 6]
    partly = Counter(len(one["windows"]) for _, one in kept if not one.get("whole"))
    assert partly == {1: 6, 2: 6, 4: 6}


def test_cells_of_one_workload_stay_together_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = FakeRunner()
    kept = measured(runner, monkeypatch, room=4 * GIB)
    assert runner.most == 3
    workloads = [one["cell"].workload for one in whole(kept)]
    assert workloads in (["gan"] * 3 + ["lm"] * 3, ["lm"] * 3 + ["gan"] * 3)


def test_one_at_least_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = FakeRunner()
    assert len(whole(measured(runner, monkeypatch, room=GIB // 2))) == 6 and runner.most == 1


@pytest.mark.parametrize("lasts", [0, 1, 3])
def test_one_that_ends_has_its_word_and_the_others_go_on(lasts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = FakeRunner(lasts={"tf": (lasts, "killed")})
    kept = measured(runner, monkeypatch)
    assert Counter(one["status"] for one in kept if one["status"] != "ok") == {"killed": 2}
    assert len(whole(kept)) == 4


def test_one_that_finds_no_memory_in_company_runs_once_more_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = FakeRunner(lasts={"tf": (2, "oom")})
    kept = measured(runner, monkeypatch)
    assert len(whole(kept)) == 6 and all(one["status"] == "ok" for one in kept)
    again = runner.told.index(("begin", CELLS[1].label), runner.told.index(("begin", CELLS[1].label)) + 1)
    assert runner.told[again - 1][0] == runner.told[again + 1][0] == "end"


def test_an_interrupt_keeps_what_is_known_and_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, kept = FakeRunner(), list[Any]()
    monkeypatch.setattr(memory, "available", lambda: 100 * GIB)

    interrupts = [KeyboardInterrupt]

    def keep(one: dict[str, Any]) -> None:
        kept.append(one)
        if interrupts and len(one["windows"]) == 4:
            interrupts.clear()
            raise KeyboardInterrupt

    rounds = turns.Rounds(runner=runner, keep=keep, progress=NoProgress(), draw=random.Random(7))
    with pytest.raises(KeyboardInterrupt):
        rounds.measure([Job(cell=cell, repeat=0) for cell in CELLS])
    last = {one["cell"]: len(one["windows"]) for one in kept}
    assert set(last) == set(CELLS) and min(last.values()) >= 3
    assert not rounds.alive


def test_the_order_is_random_and_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [FakeRunner() for _ in range(2)]
    for runner in runs:
        measured(runner, monkeypatch)
    assert runs[0].told == runs[1].told
    assert [name for _, name in runs[0].told[:6]] != [cell.label for cell in CELLS]


def scattered(spread: float, count: int = 20) -> list[float]:
    return [spread * (-1) ** number for number in range(count)]


@pytest.mark.parametrize(
    ("apart", "repeat", "visits"),
    [
        (0.0, 3, 3 * 5),  # processes do not differ: the most that may be
        (0.02, 3, 13),  # √(6 / 0.35 · 0.1² / 0.03²), roughly
        (0.5, 3, 5),  # processes differ by more than visits: what was asked for
        (0.0, 2, 5),  # a round that no target asks for
    ],
)
def test_rounds_of_a_target_have_as_many_visits_as_pay(apart: float, repeat: int, visits: int) -> None:
    plan = turns.Plan(rounds=3)
    for cell in CELLS:
        plan.ended[cell] = [[log + apart * process for log in scattered(0.1)] for process in range(3)]
    live: Any = FakeCell(job=Job(cell=CELLS[0], repeat=repeat), lasts=10)
    assert plan.visits(live) == pytest.approx(visits, abs=8 if visits == 13 else 0)
