"""What the terminal shows."""

import pytest

from bench import manifests, plan, show
from bench.plan import Choice


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3600, "60 min 00 s")]
)
def test_clock(seconds: float, text: str) -> None:
    assert show.clock(seconds) == text


def test_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A reason such as pip install 'samestep[torch]' must arrive whole, and a log cannot colour the terminal."""
    show.rows(("reason",), [("pip install 'samestep[torch]'",), ("[red]x[/red]",)])
    printed = capsys.readouterr().out
    assert "samestep[torch]" in printed
    assert "[red]x[/red]" in printed


def test_a_cell_that_failed_once_it_was_timed_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    """Such as one that gets no memory for the probes of its precision."""
    windows = [{"steps": 10, "seconds": 0.1}]
    (cell,) = plan.plan_cells(Choice(impl=("torch",), workload=("lm",), precision=("fp32",), batch=5), manifests.find())
    found = {
        "cell": vars(cell),
        "cell_id": cell.id,
        "windows": windows,
        "visits": None,
        "memory_bytes": None,
        "reason": "no memory",
        "repeat": 0,
        "parity": {"verdict": "proven"},
    }
    for status in ("ok", "oom"):
        show.Progress("a run").kept(found | {"status": status})
    ok, failed = capsys.readouterr().err.splitlines()
    assert "batch 5 round 1: 10.0\N{NO-BREAK SPACE}ms a step" in ok
    assert "batch 5 round 1: oom: no memory" in failed


def test_disturbed_processes_are_one_line() -> None:
    (cell,) = plan.plan_cells(Choice(impl=("torch",), workload=("lm",), precision=("fp32",)), manifests.find())

    def found(repeat: int, foreign_s: float) -> dict[str, object]:
        window = {"steps": 1, "seconds": 1.0, "foreign_cpu_s": foreign_s, "steal_s": 0.0}
        return {"cell": vars(cell), "repeat": repeat, "windows": [window], "threads": {"affinity": [0, 1]}}

    assert show.disturbed([found(0, 0.0)]) == []
    (line,) = show.disturbed([found(0, 0.4), found(1, 1.0), found(2, 0.0)])
    assert (
        line.startswith("disturbed: 2 of 3 processes; most of all")
        and "round 2: Cores used by" in line
        and "50" in line
    )
