"""A round of cells that take turns: a fresh process of each, all alive together, visited in random order.

Other tenants of a machine change its speed for seconds at a time. Windows that follow each other see one such state;
windows of one process that are seconds apart see many, and each cell sees the same mixture. Measured: see
docs/statistics.md. Related: A. Abedi and T. Brecht, "Conducting repeatable experiments in highly variable cloud
computing environments", ICPE 2017; L. Bulej et al., "Duet benchmarking", ICPE 2020.

As many processes live together as memory allows; where that is not all, those of one workload stay together. A cell
whose device is preallocated, or that has several devices, has no company: its windows follow one another.
"""

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from bench.live import LiveCell
from bench.machine import memory
from bench.plan import Job
from bench.ranks import Outcome
from bench.record import Record
from bench.spec import Cell
from bench.stats import allotment

GROWTH = 1.25  # a process may take so many times what it held once it was warm: caches, latency, probes
SPARE = 1.4  # times its window that a visit takes: the untimed step, two readings, the caches filled between
KNOWN = 20  # processes of a cell whose visits are remembered
MOST = 3  # times the visits that were asked for: beyond that an interval hardly narrows
FREE = 0.1  # of what can be had now stays free, for the rest of the machine


class Runner(Protocol):
    """Who starts cells and makes their records."""

    def begin(self, job: Job) -> LiveCell: ...
    def end(self, cell: LiveCell, since: float) -> Outcome: ...
    def held(self, cells: Sequence[LiveCell]) -> int: ...
    def record(self, job: Job, outcome: Outcome) -> Record: ...


class Progress(Protocol):
    """Who shows what is under way."""

    def now(self, job: Job, doing: str) -> None: ...
    def advance(self, job: Job, share: float) -> None: ...


@dataclass(kw_only=True)
class Plan:
    """How many visits a process gets: as many as make up the time that its windows are to last in all.

    In the rounds that a target asks for it may be more, up to `MOST` times as many: what starting a process costs, and
    how processes and visits have scattered so far, say how many make the interval narrowest.
    """

    rounds: int = 1 << 30  # that the run has without a target
    ended: dict[Cell, list[Sequence[float]]] = field(default_factory=dict[Cell, list[Sequence[float]]])

    def visits(self, live: LiveCell) -> int:
        least = max(live.request.min_windows, math.ceil(live.request.min_time_s / live.window_s))
        known = allotment.components(list(self.ended.values())) if live.job.repeat >= self.rounds else None
        if known is None:
            return least
        best = allotment.visits(live.spent_s, SPARE * live.window_s, *known)
        return math.ceil(min(max(best, least), MOST * least))

    def learn(self, live: LiveCell) -> None:
        """Note how the visits of a process have scattered; of many processes the first say enough."""
        if len(self.ended.get(live.job.cell, ())) >= KNOWN:
            return
        logs = [math.log(window["seconds"] / window["steps"]) for window in live.windows]
        if len(logs) > 1:
            self.ended.setdefault(live.job.cell, []).append(logs)


@dataclass(kw_only=True)
class Rounds:
    """The rounds of one run, one after another."""

    runner: Runner
    keep: Callable[[Record], None]  # stores a record; one of the same process replaces it later
    progress: Progress
    draw: random.Random  # of the order
    plan: Plan = field(default_factory=Plan)
    needs: dict[Cell, int] = field(default_factory=dict[Cell, int])  # bytes that a process of a cell took
    alive: list[LiveCell] = field(default_factory=list[LiveCell])
    alone: set[Job] = field(default_factory=set[Job])  # ran out of memory in company, and get another try

    def measure(self, jobs: Sequence[Job]) -> None:
        """Measure the jobs of one round; what was measured is kept, whatever ends it."""
        waiting = deque(self.ordered(jobs))
        try:
            while waiting:
                self.start(waiting)
                self.visit_all(waiting)
                while self.alive:
                    self.close(self.alive[0], waiting)
        except BaseException:
            for live in self.alive:
                with suppress(Exception):  # the disk may be full, which ends the run with its own words
                    self.keep_so_far(live)
                live.abandon()
            self.alive.clear()
            raise

    def ordered(self, jobs: Sequence[Job]) -> list[Job]:
        """In random order, but those of one workload together: they are compared."""
        groups: dict[tuple[str, str], list[Job]] = {}
        for job in jobs:
            groups.setdefault((job.cell.workload, job.cell.size), []).append(job)
        shuffled = list(groups.values())
        self.draw.shuffle(shuffled)
        for group in shuffled:
            self.draw.shuffle(group)
        return [job for group in shuffled for job in group]

    def start(self, waiting: deque[Job]) -> None:
        """Start as many processes as there is memory for, one after another; each has its first visit at once."""
        while waiting and (not self.alive or self.fits(waiting[0])):
            job = waiting.popleft()
            self.progress.now(job, "starts")
            try:
                live = self.runner.begin(job)
            except OSError as error:  # its folder cannot be made: the disk is full, or takes no pipes
                self.keep(self.runner.record(job, Outcome.failed("crashed", str(error))))
                continue
            self.alive.append(live)
            if live.warm_up():
                live.visits = self.plan.visits(live)
                if job.cell not in self.needs:  # the look costs milliseconds, and another process takes as much
                    self.needs[job.cell] = self.runner.held([live])
                self.progress.advance(job, 1 / 3)
                self.call(live, waiting)
            else:
                self.close(live, waiting)
            if job in self.alone:
                return

    def fits(self, job: Job) -> bool:
        """Whether memory is left for one more: by the same cell in an earlier round, or by the largest so far."""
        room = memory.available()
        if job in self.alone or room is None:
            return False
        kind = job.cell.workload, job.cell.size
        like = [need for cell, need in self.needs.items() if (cell.workload, cell.size) == kind]
        need = self.needs.get(job.cell) or max(like or self.needs.values(), default=0)
        return GROWTH * need <= (1 - FREE) * room

    def visit_all(self, waiting: deque[Job]) -> None:
        """Visit each in turn, in an order that is drawn anew for each turn, until all have had their visits."""
        while calling := [live for live in self.alive if live.visits_left > 0]:
            self.draw.shuffle(calling)
            for live in calling:
                self.call(live, waiting)

    def call(self, live: LiveCell, waiting: deque[Job]) -> None:
        """One visit. What is known is kept after 1, 2, 4, 8, … of them, so that no end of the run loses much."""
        self.progress.now(live.job, f"visit {len(live.windows) + 1} of {live.visits}")
        if not live.visit():
            self.close(live, waiting)
            return
        self.progress.advance(live.job, 2 / 3 / max(live.visits, len(live.windows)))
        if math.log2(len(live.windows)).is_integer():
            self.keep_so_far(live)

    def keep_so_far(self, live: LiveCell) -> None:
        if live.windows and live.outcome is None:
            self.keep(self.runner.record(live.job, live.so_far()))

    def close(self, live: LiveCell, waiting: deque[Job]) -> None:
        """End a process and keep its record; one that found no memory in company runs once more by itself."""
        self.progress.now(live.job, "ends")
        outcome = self.runner.end(live, min(one.begun_at for one in self.alive))
        company = len(self.alive) > 1
        self.alive.remove(live)
        if outcome.fields["status"] == "oom" and company and live.job not in self.alone:
            self.alone.add(live.job)
            waiting.append(live.job)
            return
        self.plan.learn(live)
        self.keep(self.runner.record(live.job, outcome))
