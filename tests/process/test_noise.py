"""A busy foreign process on the cell's core is seen, in the windows and before the run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.launch import Launcher
from bench.machine import idle, noise
from tests.process.test_launch import MANIFESTS, run

CORE = noise.cores_of_process()[-1]
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(noise.usage([CORE]) is None, reason=noise.NO_COUNT),
]


@pytest.fixture
def busy() -> Iterator[None]:
    """A process that does nothing but compute, on the core that the cell is given."""
    code = f"import os; os.sched_setaffinity(0, [{CORE}]); print(flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    yield
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("cold", [False, True])
def test_windows_tell_of_a_busy_process(tmp_path: Path, cold: bool) -> None:
    """Two processes share the core, so that about half of each window is the other's."""
    with Launcher(MANIFESTS, cold=cold) as launcher:
        outcome = run(launcher, tmp_path / "cell", cpus=(CORE,), window_s=0.2, min_time_s=1.0)
    windows = outcome.fields["windows"]
    seconds = sum(window["seconds"] for window in windows)
    assert sum(window["foreign_cpu_s"] for window in windows) > 0.25 * seconds
    assert 0 < sum(window["cpu_s"] for window in windows) < 0.9 * seconds
    assert all(window["foreign_cpu_s"] >= 0 and window["steal_s"] >= 0 for window in windows)


@pytest.mark.usefixtures("busy")
def test_load_before_a_run_names_the_process() -> None:
    """The runner's own children do not count: here the busy process is one, so that another process must look."""
    code = f"from bench.machine import idle; import json; print(json.dumps(idle.sample_load([{CORE}], 1.0).busiest))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    names = [name for name, _ in json.loads(done.stdout)]
    assert any(name.startswith("python") for name in names), names


@pytest.mark.usefixtures("busy")
def test_own_children_are_not_foreign() -> None:
    assert os.getpid() not in {process.pid for process in idle.times_of_others()}
    own = idle.sample_load([CORE], 0.5)
    assert own.foreign_cores is not None
