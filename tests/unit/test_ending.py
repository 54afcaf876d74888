"""The last lines of a run."""

from pathlib import Path
from typing import Any

import pytest

from bench import ending, manifests, plan
from bench.plan import Choice

CELLS = plan.plan_cells(Choice(impl=("torch", "jax"), workload=("lm",), precision=("fp32",)), manifests.find())


def record(place: int, status: str = "ok", verdict: str = "proven", repeat: int = 0) -> dict[str, Any]:
    reason = None if status == "ok" else "why it is so"
    said = {"verdict": verdict, "reason": "tokens at step 3"}
    cell = CELLS[place]
    return {
        "cell": vars(cell), "cell_id": cell.id, "status": status, "reason": reason, "repeat": repeat, "parity": said,
    }  # fmt: skip


def told(records: list[dict[str, Any]], code: int, report: Path | None = Path("R/report.html")) -> list[str]:
    return list(ending.lines(records, Path("R"), report, code))


def test_all_is_well() -> None:
    assert told([record(0), record(1)], 0) == [
        "2 cells: 2 ok and proven.",
        "Report: R/report.html",
        "Exit code 0: every cell is ok, or cannot run here.",
    ]


def test_what_failed_and_why_and_what_to_do() -> None:
    lines = told([record(0), record(0, "invalid", repeat=1), record(1)], 1)
    assert lines[0] == "2 cells: 1 ok and proven, 1 invalid in some rounds."
    assert lines[1] == "  lm/tiny torch eager fp32 ×1: invalid in 1 of 2 rounds: why it is so"
    assert "no table counts them" in lines[2]
    assert lines[-1] == "Exit code 1: 1 of 2 cells failed."


@pytest.mark.parametrize("status", ["oom", "timeout", "crashed", "killed", "nan", "invalid"])
def test_every_failure_has_its_advice(status: str) -> None:
    assert ending.ADVICE[status] in told([record(0, status)], 1)[2]


def test_a_divergence_is_a_failure_with_its_own_reason() -> None:
    lines = told([record(0, verdict="diverged")], 1)
    assert "diverged in 1 of 1 rounds: tokens at step 3" in lines[1] and "bench verify" in lines[2]


def test_what_cannot_run_here_is_none() -> None:
    assert told([record(0, "unsupported"), record(1)], 0)[0] == "2 cells: 1 ok and proven, 1 unsupported."


def test_what_waits_for_its_verdict_is_said() -> None:
    assert "1 unchecked: bench run --resume R judges what can be judged" in told([record(0, verdict="unchecked")], 0)


def test_where_the_records_are_without_a_report() -> None:
    assert "Records: R/records.jsonl" in told([record(0)], 0, report=None)


def test_of_many_failures_a_few_are_shown() -> None:
    cells = plan.plan_cells(Choice(size="tiny", precision=("all",), platform="cpu"), manifests.find())[:8]
    records = [record(0, "oom") | {"cell": vars(cell), "cell_id": cell.id} for cell in cells]
    lines = told(records, 1)
    assert "3 more cells failed: the report lists them" in lines and len(lines) == 1 + 2 * 5 + 3
