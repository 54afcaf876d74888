"""A runner that is told to stop ends all processes of its cells; more of interrupts is in tests/faults."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

SEVERAL = """
import signal, sys
from pathlib import Path
from bench import cli, run
from bench.manifests import read
from bench.plan import Choice

signal.signal(signal.SIGINT, signal.default_int_handler)
fakes = {"a": read("a", "tests.fake")}
settings = run.Settings(repeats=1, out=Path(sys.argv[1]), report=False, ceilings=False, timeout_s=300)
choice = Choice(workload=("autoencoder",), precision=("fp32",), devices=4, device_counts=(4,))
sys.exit(cli.guard(lambda: run.run(choice, settings, fakes)))
"""


def test_interrupt_ends_every_process_of_a_cell(tmp_path: Path) -> None:
    """All but the first hang in a step, and ignore SIGTERM; the first waits for them."""
    own = {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path), "SAMESTEP_CACHE": str(tmp_path / "c")}
    runner = subprocess.Popen(
        [sys.executable, "-c", SEVERAL, str(tmp_path / "run")],
        env={**os.environ, **own, "FAKE_FAULT": "hang-step", "FAKE_RANK": "1,2,3"},
        stderr=subprocess.PIPE,
        text=True,
    )
    process, deadline = psutil.Process(runner.pid), time.monotonic() + 120
    while len(process.children(recursive=True)) < 5:  # a template and four ranks
        assert runner.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    cells = process.children(recursive=True)
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=60)
    assert runner.returncode == 130
    _, alive = psutil.wait_procs(cells, timeout=5)
    assert not alive
    assert not list(tmp_path.glob("samestep-*"))


VERIFIER = """
import signal, sys
from bench import cli, verify
from bench.manifests import read
from bench.plan import Choice
signal.signal(signal.SIGINT, signal.default_int_handler)
fakes = {name: read(name, "tests.fake") for name in ("a", "b")}
choice = Choice(workload=("autoencoder",), size="tiny", variant=("plain",))
sys.exit(cli.guard(lambda: verify.verify(choice, 3, 300.0, fakes)))
"""


def test_interrupt_ends_traces_that_run_side_by_side(tmp_path: Path) -> None:
    """Cells that ignore SIGTERM, each waited for by a thread."""
    own = {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path), "FAKE_FAULT": "hang-step"}
    verifier = subprocess.Popen(
        [sys.executable, "-c", VERIFIER], env={**os.environ, **own}, stderr=subprocess.PIPE, text=True
    )
    process, deadline = psutil.Process(verifier.pid), time.monotonic() + 120
    while len(process.children(recursive=True)) < 3:  # two templates and a cell
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    cells = process.children(recursive=True)
    verifier.send_signal(signal.SIGINT)
    verifier.communicate(timeout=60)
    assert verifier.returncode == 130
    _, alive = psutil.wait_procs(cells, timeout=5)
    assert not alive
    assert not list(tmp_path.glob("samestep-*"))
