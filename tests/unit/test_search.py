"""The search for the largest batch, exactly: against oracles that are known."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import plan, search
from bench.manifests import Manifest, read
from bench.plan import Choice, Job
from bench.spec import Cell, WrongInput

FAKES: dict[str, Manifest] = {"fake": read("fake", "tests.fake")}
CELL = plan.plan_cells(Choice(workload=("autoencoder",), size="tiny", precision=("fp32",)), FAKES)[0]


def largest(fits: Callable[[int], bool], start: int, least: int, most: int) -> tuple[int | None, int | None, list[int]]:
    """Largest that fits and smallest that does not among the tries of a search, and all tries."""
    steps, tried, told = search.batches(start, least, most), list[int](), dict[int, bool]()
    batch = next(steps)
    while True:
        tried.append(batch)
        told[batch] = fits(batch)
        try:
            batch = steps.send(told[batch])
        except StopIteration:
            break
    good, bad = [one for one in told if told[one]], [one for one in told if not told[one]]
    return max(good, default=None), min(bad, default=None), tried


@st.composite
def searches(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Where it starts, the least and the most, and the largest that fits, which may lie outside."""
    least, most = draw(st.integers(1, 4)), draw(st.integers(4, 2**24))
    start = draw(st.integers(least, most))
    return start, least, most, draw(st.integers(0, 2 * most))


@given(searches())
def test_finds_the_largest_within_its_resolution(case: tuple[int, int, int, int]) -> None:
    start, least, most, limit = case
    fits, fails, tried = largest(lambda batch: batch <= limit, start, least, most)
    assert len(set(tried)) == len(tried) <= search.tries(start, least, most)
    assert all(least <= batch <= most for batch in tried) and tried[0] == start
    if limit < least:
        assert fits is None and fails == least
    elif limit >= most:
        assert fits == most and fails is None
    else:
        assert fits is not None and fails is not None
        assert fits <= limit < fails and (fails - fits) * search.PARTS <= max(fits, search.PARTS)


def test_doubles_then_bisects() -> None:
    assert largest(lambda batch: batch <= 1000, 48, 1, 2**20) == (
        960,
        1008,
        [48, 96, 192, 384, 768, 1536, 1152, 960, 1056, 1008],
    )
    assert largest(lambda batch: batch <= 10, 48, 1, 2**20) == (10, 11, [48, 24, 12, 6, 9, 10, 11])
    assert largest(lambda batch: True, 48, 1, 100) == (100, None, [48, 96, 100])
    assert largest(lambda batch: False, 4, 2, 100) == (None, 2, [4, 2])


def records_of(limit: int, jobs: list[Job], status: str = "oom") -> list[dict[str, object]]:
    told = ["ok" if job.cell.batch_per_device <= limit else status for job in jobs]
    return [
        {"cell": vars(job.cell), "cell_id": job.cell.id, "status": one, "reason": "no memory"}
        for job, one in zip(jobs, told, strict=True)
    ]


def run(cells: list[Cell], limit: int, status: str = "oom", most: int = 2**10) -> list[dict[str, object]]:
    """Records of a search whose cells fit up to a limit."""
    records: list[dict[str, object]] = []
    for jobs in search.jobs(cells, most, lambda: records):
        records.extend(records_of(limit, jobs, status))
    return records


def test_each_cell_is_searched_for_itself() -> None:
    cells = [CELL, replace(CELL, devices=2, norm_groups=2, global_batch=96, engine="distributed")]
    records = run(cells, 100)
    assert {
        (one["cell"]["devices"], one["cell"]["global_batch"] // one["cell"]["batch_per_device"]) for one in records
    } == {(1, 1), (2, 2)}  # type: ignore[index]
    answers = search.answers(records)
    assert [search.batch_of(one.largest) for one in answers if one.largest] == [96, 96]
    assert [search.batch_of(one.smallest) for one in answers if one.smallest] == [102, 102]
    assert all(one.found for one in answers)


def test_a_timeout_is_too_large_and_another_failure_is_the_answer() -> None:
    assert search.answers(run([CELL], 100, "timeout"))[0].found
    records = run([CELL], 100, "crashed")
    assert [one["status"] for one in records] == ["ok", "ok", "crashed"]
    (answer,) = search.answers(records)
    assert not answer.found and answer.failed is records[-1]
    assert "crashed at 192: no memory" in search.line(answer, 2**10)


def test_nothing_that_fits_is_no_answer() -> None:
    (answer,) = search.answers(run([CELL], 0))
    assert not answer.found and search.line(answer, 2**10)[2] == "none fits"


def test_what_was_tried_is_not_tried_again() -> None:
    before = run([CELL], 100)
    records = before[:4]
    for jobs in search.jobs([CELL], 2**10, lambda: records):
        records.extend(records_of(100, jobs))
    assert records == before


def test_batch_norm_needs_two_samples_a_group() -> None:
    gan = replace(CELL, workload="gan", devices=4, norm_groups=4, batch_per_device=12)
    assert (search.least(CELL), search.least(gan)) == (1, 2)


def test_what_cannot_be_searched_is_said() -> None:
    with pytest.raises(WrongInput, match="leave --scaling at weak"):
        search.check([replace(CELL, scaling="strong")], 100)
    with pytest.raises(WrongInput, match="starts from a batch of 48: give a --max-batch of at least that, not 40"):
        search.check([CELL], 40)
