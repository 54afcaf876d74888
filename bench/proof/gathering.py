"""Gathers evidence once all is measured: first what is kept, then what can be made in the time that there is."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.manifests import Manifest
from bench.precision import FIRST_SCALE
from bench.proof.parity import Trace
from bench.proof.pieces import Found, Piece, Task, installed_of, lengthened, pieces, tasks_of, to_make
from bench.proof.proofs import TraceFailed, proof_key
from bench.spec import Cell

Report = Callable[[str], None]  # told what is being made
LATER = "making its evidence would take longer than the measurements did: bench run --resume RUN makes it"
LEAST_S = 1.0  # left, for a trace to be begun
PATIENCE = 3.0  # what is estimated to take so many times what is left is not begun: the rate is but assumed


class Tracer(Protocol):
    """Who can run cells for evidence, within seconds if some are given; either raises TraceFailed."""

    def trace(self, cell: Cell, steps: int, first_scale: float, within_s: float | None) -> Trace: ...
    def test_kernels(self, cell: Cell, within_s: float | None) -> Found: ...


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one cell's verdict rests on; what could not be had holds its reason."""

    proof_key: str
    proof: Found = field(default_factory=dict[str, Any])
    kernels: Found = field(default_factory=dict[str, Any])
    reference: Found = field(default_factory=dict[str, Any])
    start: Found = field(default_factory=dict[str, Any])  # of fp16, where its drift is not taken
    drift: Found = field(default_factory=dict[str, Any])


class OutOfTime(Exception):
    """The time that evidence may take is over."""


@dataclass(kw_only=True)
class Traces:
    """Traces that are made for one gathering, each once, until its time is over.

    What failed once is not tried again: it may have taken its whole timeout. What was cut short by the end of the time
    has not failed.
    """

    tracer: Tracer
    report: Report
    limit_s: float | None  # for all together
    wanted: Sequence[Task] = ()

    def __post_init__(self) -> None:
        self.begin = time.monotonic()
        self.made: dict[tuple[Cell, float], list[Trace]] = {}
        self.failed: dict[tuple[Cell, int, float], str] = {}

    @property
    def left_s(self) -> float | None:
        return None if self.limit_s is None else self.limit_s - (time.monotonic() - self.begin)

    def check(self, least_s: float = LEAST_S) -> None:
        """Raises OutOfTime unless so many seconds are left."""
        if self.left_s is not None and self.left_s < least_s:
            raise OutOfTime

    def run(self, cell: Cell, steps: int, first_scale: float = FIRST_SCALE) -> Trace:
        """A trace of so many steps; raises TraceFailed or OutOfTime."""
        exact = [trace for trace in self.made.get((cell, first_scale), ()) if trace.steps == steps]
        if exact:
            return exact[0]
        if why := self.failed.get((cell, steps, first_scale)):
            raise TraceFailed(why)
        self.check()
        self.report(f"tracing {cell.label} {cell.optimizer}, {steps} steps")
        try:
            trace = self.tracer.trace(cell, steps, first_scale, self.left_s)
        except TraceFailed as error:
            self.check()  # cut short by the end of the time it has not failed
            self.failed[cell, steps, first_scale] = str(error)
            raise
        self.made.setdefault((cell, first_scale), []).append(trace)
        return trace

    def start(self, cell: Cell, steps: int) -> Trace:
        """A trace of so many steps or more: its losses begin alike, its state is another. Raises as `run` does."""
        longer = [trace for trace in self.made.get((cell, FIRST_SCALE), ()) if trace.steps >= steps]
        task = lengthened(Task(cell=cell, steps=steps, stretches=True), self.wanted)
        return longer[0] if longer else self.run(cell, task.steps)

    def test_kernels(self, cell: Cell) -> Found:
        self.check()
        self.report(f"testing kernels of {cell.label}")
        try:
            return self.tracer.test_kernels(cell, self.left_s)
        except TraceFailed:
            self.check()  # cut short by the end of the time it has not failed
            raise

    def seconds(self, piece: Piece) -> float:
        """What is still to be made of a piece will about take."""
        return sum(task.seconds for task in piece.tasks if not self._has(task))

    def _has(self, task: Task) -> bool:
        steps = [trace.steps for trace in self.made.get((task.cell, FIRST_SCALE), ())]
        return task.steps in steps or (task.stretches and max(steps, default=0) > task.steps)


def gather(
    cells: Iterable[Cell],
    manifests: Mapping[str, Manifest],
    tracer: Tracer,
    report: Report,
    *,
    drift: bool = False,
    limit_s: float | None = None,
    cached: bool = False,
) -> dict[str, Evidence]:
    """Evidence for each cell, by its id.

    Args:
        cells: of implementations that are installed and have their workloads.
        manifests: implementations by name.
        tracer: runs cells.
        report: is told what is being made.
        drift: whether the drift is taken; else it is looked up.
        limit_s: seconds that making evidence may take; None: as long as it takes.
        cached: whether what is not kept is left out.
    """
    installed = installed_of(manifests)
    needed = {cell: pieces(cell, installed, drift) for cell in dict.fromkeys(cells)}
    every = [piece for named in needed.values() for piece in named.values()]
    found = {piece.id: piece.kept for piece in every if piece.kept}
    lacking = to_make(every)
    traces = Traces(tracer=tracer, report=report, limit_s=limit_s, wanted=tasks_of(lacking))
    for piece in lacking:
        if piece.id in found:  # what was made for another piece told it
            continue
        made = not_kept(piece) if cached else attempt(piece, traces)
        found |= {(piece.kind, key, piece.impl): one for key, one in made.items()}
    return {
        cell.id: Evidence(
            proof_key=proof_key(installed[cell.impl], cell),
            **{name: found[piece.id] for name, piece in named.items()},
        )
        for cell, named in needed.items()
    }


def attempt(piece: Piece, traces: Traces) -> Mapping[str, Found]:
    """The piece, or why there is none: other cells get theirs all the same."""
    try:
        traces.check(traces.seconds(piece) / PATIENCE)
        return piece.make(traces)
    except OutOfTime:
        return {piece.key: {"reason": LATER}}
    except TraceFailed as error:
        return {piece.key: {"reason": str(error)}}
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return {piece.key: {"reason": f"its evidence makes no sense: {error}"}}


def not_kept(piece: Piece) -> Mapping[str, Found]:
    """Why there is no piece where none is made: the name of the file that the cache lacks."""
    return {piece.key: {"reason": f"--cached-proofs makes no evidence, and there is no {piece.kind}/{piece.key}.json"}}
