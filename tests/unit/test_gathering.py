"""What evidence is gathered, in which order, within which time; traces come from a tracer with a clock of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import pace, plan
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.proof import gathering, pieces
from bench.proof.gathering import LATER, Evidence
from bench.proof.parity import Trace
from bench.proof.pieces import Task
from bench.proof.proofs import TraceFailed
from bench.spec import Cell

FAKES: dict[str, Manifest] = {name: read(name, "tests.fake") for name in ("a", "b", "c")}
CHOICE = Choice(impl=("a", "b"), workload=("autoencoder",), precision=("fp32",))


@dataclass(kw_only=True)
class Tracer:
    """Takes `start_s` and `step_s` for each step, and no longer than it may."""

    start_s: float = 1.0
    step_s: float = 1.0
    fails: Callable[[Cell], bool] = lambda _: False
    now: float = 0.0
    asked: list[tuple[str, int, float | None]] = field(default_factory=list[tuple[str, int, float | None]])

    def monotonic(self) -> float:
        return self.now

    def spend(self, seconds: float, within_s: float | None) -> None:
        self.now += seconds if within_s is None else min(seconds, within_s)
        if within_s is not None and within_s < seconds:
            raise TraceFailed("timeout")

    def trace(self, cell: Cell, steps: int, first_scale: float, within_s: float | None) -> Trace:
        self.asked.append((f"{cell.impl} {cell.precision}", steps, within_s))
        self.spend(self.start_s + steps * self.step_s, within_s)
        if self.fails(cell):
            raise TraceFailed("it fell over")
        return Trace(losses={"reconstruction": [1.0] * steps}, state={"w": np.ones(2)})

    def test_kernels(self, cell: Cell, within_s: float | None) -> dict[str, Any]:
        self.asked.append((f"{cell.impl} kernels", 0, within_s))
        self.spend(self.start_s, within_s)
        return {}


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tracer:
    """Its clock is the one that gathering looks at; the cache is empty."""
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))
    made = Tracer()
    monkeypatch.setattr(gathering, "time", made)
    return made


def gather(
    tracer: Tracer, choice: Choice = CHOICE, fakes: Mapping[str, Manifest] = FAKES, **how: Any
) -> list[Evidence]:
    cells = plan.plan_cells(choice, fakes)
    manifests = {name: fakes[name] for name in choice.impl}
    found = gathering.gather(cells, manifests, tracer, lambda _: None, **how)
    return [found[cell.id] for cell in cells]


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reference is lengthened to what a proof needs."""
    monkeypatch.setattr(pieces, "STRETCH", 0.0)


@pytest.mark.usefixtures("_alone")
def test_the_cheapest_comes_first_for_the_time_left_at_most(tracer: Tracer) -> None:
    found = gather(tracer, limit_s=32.0)
    assert tracer.asked == [("b fp64", 5, 32.0), ("a fp64", 5, 26.0), ("a fp64", 20, 20.0)]
    assert all(len(one.reference["losses"]["reconstruction"]) == 5 for one in found)
    assert all(one.proof == {"reason": LATER} for one in found)
    assert tracer.now == 32.0


@pytest.mark.usefixtures("_alone")
def test_what_was_cut_short_has_not_failed(tracer: Tracer) -> None:
    gather(tracer, limit_s=32.0)
    found = gather(tracer)
    assert tracer.asked[3:] == [("a fp64", 20, None), ("b fp64", 20, None)], "references are kept"
    assert all(one.proof["equal"] for one in found)


def test_what_is_kept_needs_no_time(tracer: Tracer) -> None:
    gather(tracer)
    before = len(tracer.asked)
    assert all(one.proof["equal"] and one.reference["losses"] for one in gather(tracer, limit_s=0.0))
    assert len(tracer.asked) == before


def test_what_is_far_too_long_is_not_begun(tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CELL_S", 100.0)
    found = gather(tracer, limit_s=30.0)
    assert tracer.asked == [] and all(one.reference == {"reason": LATER} for one in found)


def test_two_traces_of_one_cell_that_take_about_as_long_are_one(tracer: Tracer) -> None:
    gather(tracer)
    assert tracer.asked == [("b fp64", 20, None), ("a fp64", 20, None)]


def test_where_a_longer_trace_takes_much_longer_there_are_two(tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "step_flops_per_s", lambda: 1e6)
    gather(tracer)
    assert [steps for _, steps, _ in tracer.asked] == [5, 5, 20, 20]


def test_what_failed_is_tried_once_and_others_go_on(tracer: Tracer) -> None:
    tracer.fails = lambda cell: cell.impl == "c"
    a, b, c = gather(tracer, replace(CHOICE, impl=("a", "b", "c")))
    assert len(tracer.asked) == len(set(tracer.asked))
    assert a.proof["equal"] and b.proof["equal"]
    assert c.proof == {"equal": None, "reason": "it fell over"} and c.reference["losses"]


def test_no_cell_gets_its_own_framework_for_another_s_reference(tracer: Tracer) -> None:
    """The first partner of b and c is a, which fails; each then has the other."""
    tracer.fails = lambda cell: cell.impl == "a"
    found = gather(tracer, replace(CHOICE, impl=("a", "b", "c")))
    assert [one.reference["impl"] for one in found] == ["b", "c", "b"]


def test_a_proof_that_ran_out_of_time_is_none_of_fewer_frameworks(
    tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that agree would be a proof already, two that differ no proof against either."""
    monkeypatch.setattr(pieces, "STRETCH", 0.0)
    choice = replace(CHOICE, impl=("a", "b", "c"))
    found = gather(tracer, choice, limit_s=12.0 + 21.0 + 21.0 + 5.0)
    assert [steps for _, steps, _ in tracer.asked] == [5, 5, 20, 20, 20]
    assert all(one.proof == {"reason": LATER} for one in found)


def test_a_drift_is_taken_where_it_is_asked_for(tracer: Tracer) -> None:
    assert gather(tracer)[0].drift == {} and 100 not in [steps for _, steps, _ in tracer.asked]
    assert gather(tracer, drift=True)[0].drift["drift"]["steps"] == 100
    assert gather(tracer)[0].drift["drift"]["steps"] == 100, "one that is kept is shown"


@pytest.mark.parametrize(("drift", "steps"), [(False, 5), (True, 100)])
def test_fp16_is_traced_from_a_scale_that_skips_nothing(drift: bool, steps: int, tracer: Tracer) -> None:
    (found,) = gather(tracer, replace(CHOICE, impl=("a",), precision=("fp16",)), drift=drift)
    assert ("a fp16", steps, None) in tracer.asked
    assert len((found.start or found.drift)["losses"]["reconstruction"]) == steps
    (again,) = gather(tracer, replace(CHOICE, impl=("a",), precision=("fp16",)))
    assert again.start["losses"], "what was traced for the drift will do"


def test_only_what_is_kept(tracer: Tracer) -> None:
    found = gather(tracer, replace(CHOICE, kernels="best"), cached=True)
    assert tracer.asked == []
    for one in found:
        for kind, piece in (("references", one.reference), ("proofs", one.proof), ("kernels", one.kernels)):
            assert piece["reason"].startswith(f"--cached-proofs makes no evidence, and there is no {kind}/")


def test_what_is_missing_is_what_would_be_made(tracer: Tracer) -> None:
    """For the progress line and the estimate: asked without a trace, in the order in which it is made."""
    for choice in (CHOICE, replace(CHOICE, precision=("fp16", "fp64"), kernels="best", variant=("all",))):
        for drift in (False, True):
            cells = plan.plan_cells(choice, FAKES)
            manifests = {name: FAKES[name] for name in choice.impl}
            expected = pieces.missing(cells, manifests, drift)
            assert not tracer.asked and all(task.seconds > plan.CELL_S for task in expected)
            gather(tracer, choice, drift=drift)
            made = [(name, steps) for name, steps, _ in tracer.asked]
            assert made == [
                (f"{task.cell.impl} {task.cell.precision if task.steps else 'kernels'}", task.steps)
                for task in expected
            ]
            assert pieces.missing(cells, manifests, drift) == []
            tracer.asked.clear()


def test_nothing_is_missing_of_what_cannot_run(tracer: Tracer) -> None:
    gone = {"a": replace(FAKES["a"], module="no_such_framework")}
    assert pieces.missing(plan.plan_cells(replace(CHOICE, impl=("a",)), gone), gone) == []
    assert pieces.missing(plan.plan_cells(replace(CHOICE, workload=("lm",)), FAKES), FAKES) == []


def test_estimates_grow_with_steps_precision_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = plan.plan_cells(replace(CHOICE, impl=("a",)), FAKES)
    small, double = replace(cell, size="small"), replace(cell, precision="fp64")
    of = lambda cell, steps: Task(cell=cell, steps=steps).seconds - plan.CELL_S  # noqa: E731
    assert of(cell, 100) == pytest.approx(20 * of(cell, 5))
    assert of(double, 5) == pytest.approx(2 * of(cell, 5)) and of(small, 5) > of(cell, 5)
    monkeypatch.setattr(pieces, "physical_cores", lambda: (0,))
    alone = of(cell, 5)
    monkeypatch.setattr(pieces, "physical_cores", lambda: (0,) * 64)
    assert of(cell, 5) == pytest.approx(alone / 64)
