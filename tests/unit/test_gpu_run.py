"""`scripts/gpu-run.sh`: wrong input is one line and exit 2, and what it would run is told before anything starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "gpu-run.sh"
RECORDER = """#!/bin/sh
[ "$1" = -m ] || exit 0
echo "$*" >> "{log}"
"""


def call(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *words], env={**os.environ, **variables}, capture_output=True, text=True)


def test_help_names_every_part_and_variable() -> None:
    told = call("--help")
    assert told.returncode == 0 and told.stderr == ""
    for word in ("parity", "probes", "gan", "autoencoder", "lm", "PYTHON", "RUN", "PLATFORM", "SIZE", "WHEELS"):
        assert word in told.stdout


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (("mnist",), {}, "mnist is no part"),
        (("gan",), {"LIMIT": "soon"}, "LIMIT=soon"),
        (("gan",), {"WHEELS": "/nowhere"}, "/nowhere is no folder"),
        (("gan",), {"PYTHON": "no-such-python"}, "PYTHON=no-such-python is not here"),
    ],
)
def test_wrong_input_is_one_line(words: tuple[str, ...], variables: dict[str, str], said: str) -> None:
    told = call(*words, **{"PYTHON": sys.executable} | variables)
    assert told.returncode == 2 and told.stdout == ""
    assert said in told.stderr and told.stderr.count("\n") == 1


def test_names_what_a_python_lacks(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import nothing_of_this_name\n")
    told = call("gan", PYTHON=sys.executable, PYTHONPATH=str(tmp_path), IMPLS="none")
    assert told.returncode == 2 and told.stderr.count("\n") == 1
    assert "lacks: nothing_of_this_name." in told.stderr


def test_plans_the_whole_run_and_measures_its_part(tmp_path: Path) -> None:
    python, log, run = tmp_path / "python", tmp_path / "log", tmp_path / "run"
    python.write_text(RECORDER.format(log=log))
    python.chmod(0o755)
    given = {"PYTHON": str(python), "RUN": str(run), "PLATFORM": "cpu", "SIZE": "tiny"}
    assert call("lm", **given).returncode == 0
    planned, measured = log.read_text().splitlines()
    assert "--plan-only" in planned and "--workload" not in planned and f"--out {run}" in planned
    assert measured == f"-m bench run --resume {run} --workload lm --no-report"
    run.mkdir()
    (run / "run.json").write_text("{}")
    assert call("gan", **given).returncode == 0
    assert log.read_text().splitlines()[2:] == [f"-m bench run --resume {run} --workload gan --no-report"]
