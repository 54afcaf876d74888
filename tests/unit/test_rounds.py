"""Rounds that a target asks for, and arms compared: on made records."""

import math
import random
from typing import Any

import pytest

from bench import rounds, show
from bench.spec import Cell
from bench.stats import arms, measured
from bench.stats.compare import smallest_visible
from bench.units import digits
from tests.report.samples import make_cell, make_failure, make_record

STEADY, NOISY, BROKEN = make_cell(impl="torch"), make_cell(impl="tf"), make_cell(impl="jax")


def made(cell: Cell, repeat: int, log: float, **changed: Any) -> dict[str, Any]:
    """A record whose step time is exp(log) ms in every window."""
    window = {"steps": 100, "seconds": 0.1 * math.exp(log), "foreign_cpu_s": None, "steal_s": None}
    return make_record(cell, repeat, windows=[window] * 5, **changed)


def batch(repeats: range) -> list[dict[str, Any]]:
    """Noise of 0.1 % and of 10 %, and a cell that never runs."""
    return [
        one
        for n in repeats
        for one in (
            made(STEADY, n, 0.001 * (-1) ** n),
            made(NOISY, n, 0.1 * (-1) ** n),
            make_failure(BROKEN, "crashed", "no", n),
        )
    ]


def test_only_what_has_not_reached_the_target_runs_again() -> None:
    records = batch(range(8))
    further = rounds.further([STEADY, NOISY, BROKEN], range(8, 11), 0, 0.02, records.copy)
    seen = [[(job.cell, job.repeat) for job in jobs] for jobs in further]
    assert seen == [[(NOISY, 8)], [(NOISY, 9)], [(NOISY, 10)]], "the cap ends it"


def test_further_rounds_look_at_the_records_anew() -> None:
    records = batch(range(6))
    seen: list[list[str]] = []
    for jobs in rounds.further([STEADY, NOISY], range(6, 20), 0, 0.09, records.copy):
        seen.append(sorted(job.cell.impl for job in jobs))
        records += [
            made(job.cell, job.repeat, (0.1 if job.cell == NOISY else 0.001) * (-1) ** job.repeat) for job in jobs
        ]
    assert seen[:2] == [["tf", "torch"]] * 2, "eight repeats at least"
    assert seen[2:] == [["tf"]] * (len(seen) - 2) != []
    assert rounds.reached(0.09, measured.family(records), NOISY.id)
    assert not rounds.reached(0.09, measured.family(records[:-1]), NOISY.id)


def arm_records(effect: float) -> list[dict[str, Any]]:
    """Two cells in two arms over five rounds; the second arm of the first cell is slower by `effect`."""
    found: list[dict[str, Any]] = []
    draw = random.Random(1)
    for cell in rounds.arms([STEADY, NOISY]):
        for n in range(5):
            noise = draw.gauss(0, 0.01)
            found.append(made(cell, n, 0.2 * n + noise + (effect if cell.arm == "b" and cell.impl == "torch" else 0)))
    return found


def test_arms_that_are_equal_are_not_named() -> None:
    pairs = arms.compare_arms(arm_records(0.0))
    assert [(pair.found.method, pair.found.shared, pair.named) for pair in pairs] == [("paired", 5, False)] * 2
    visible = sorted(100 * (smallest_visible(pair.found, 2) or 0) for pair in pairs)
    assert arms.conclusion(pairs) == (
        "A/A: 0 of 2 cells named (none expected in 19 of 20 runs); differences of "
        f"{digits(sum(visible) / 2)} % and more would have been seen in half of the cells, "
        f"in the noisiest of {digits(visible[1])} %"
    )
    assert 1 < visible[0] < visible[1] < 10, "the rounds themselves differ by far more, and cancel"


def test_sizes_beyond_percent_are_factors() -> None:
    assert (arms.size(0.0412), arms.size(23.75)) == ("4.12 %", "a factor of 24.8")


def test_a_slow_arm_is_named() -> None:
    pairs = arms.compare_arms(arm_records(math.log(1.1)))
    assert [pair.named for pair in pairs] == [False, True]
    assert pairs[1].found.ratio == pytest.approx(1.1, rel=0.02)
    assert arms.conclusion(pairs).startswith("A/A: 1 of 2 cells named")


def test_no_arms_and_too_few_repeats() -> None:
    assert arms.compare_arms([made(STEADY, 0, 0.0)]) == []
    few = [one for one in arm_records(0.0) if one["repeat"] < 2]
    assert "give --repeats 3 or more" in arms.conclusion(arms.compare_arms(few))


def test_oddities_are_marked_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    growing = [
        {"steps": 100, "seconds": 0.1 * 1.02 ** (n - 2.5), "foreign_cpu_s": None, "steal_s": None} for n in range(6)
    ]
    records = [made(STEADY, 0, 0.0), make_record(STEADY, 1, windows=growing), make_record(STEADY, 2, windows=growing)]
    show.results(records, as_json=False)
    printed = capsys.readouterr().out
    assert " d2 " in printed and "odd: d a process's windows grow or shrink\n" in printed
    show.results([made(NOISY, n, 0.0) for n in range(3)], as_json=False)
    assert "odd:" not in capsys.readouterr().out
