"""What the frameworks make of the cases: each in a process of its own, all cases in one, two frameworks at a time.

Processes that share the tests (`pytest -n 2`) share that too: the first that asks has it made.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import manifests, plan
from bench.plan import Choice
from bench.spec import Request

States = dict[str, dict[str, Any]]  # by case


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], States]]:
    """What one framework makes of every case; all that are installed start when the first is asked for."""
    running: dict[str, Future[States]] = {}
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    slowest_first = [name for name in reversed(manifests.BUILT_IN) if manifests.find()[name].installed]
    with ThreadPoolExecutor(max_workers=2) as pool:

        def ask(impl: str) -> States:
            for name in slowest_first if not running else ():
                running[name] = pool.submit(made_once, name, shared / f"reference-{name}")
            return running[impl].result()

        yield ask


def made_once(impl: str, folder: Path) -> States:
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "states.npz").exists():
            train(impl, folder)
    return read(folder / "states.npz")


def train(impl: str, folder: Path) -> None:
    choice = Choice(impl=(impl,), workload=("autoencoder",), precision=("fp64",))
    (cell,) = plan.plan_cells(choice, manifests.find())
    request, manifest = Request(cell=cell, task="trace", folder=str(folder), threads=1), manifests.find()[impl]
    (folder / "request.json").write_text(request.to_json())
    files = [str(folder / "request.json"), manifest.package, str(folder / "part.npz")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.reference.frameworks", *files],
        env={**os.environ, **manifest.variables(request)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (folder / "part.npz").rename(folder / "states.npz")


def read(file: Path) -> States:
    states: States = {}
    with np.load(file) as stored:
        for key in stored.files:
            case, _, rest = key.partition("/")
            states.setdefault(case, {})[rest] = stored[key]
    return states
