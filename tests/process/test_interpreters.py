"""Cells run by another Python: it sees the code of cells and its own packages, and nothing of the runner's."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import ask, interpreters, run, store
from bench.interpreters import Interpreter
from bench.launch import Launcher, Outcome
from bench.plan import Choice
from bench.settings import Settings
from bench.spec import Request, WrongInput
from tests.process.test_launch import CELL, MANIFESTS


def make_python(folder: Path, *packages: str) -> Path:
    """A virtual environment of the Python that runs the tests, with links to some of its packages; its executable."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (target,) = folder.glob("lib/python*/site-packages")
    source = Path(np.__file__).parents[1]
    for package in packages:
        for path in (*source.glob(package), *source.glob(f"{package}.libs"), *source.glob(f"{package}-*.dist-info")):
            (target / path.name).symlink_to(path)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    path = make_python(tmp_path_factory.mktemp("other") / "env", "numpy")
    return Interpreter(name="other", path=str(path))


def run_cell(interpreter: Interpreter, folder: Path, *, cold: bool) -> Outcome:
    manifest = replace(MANIFESTS["fake"], interpreter=interpreter)
    request = Request(cell=CELL, task="measure", folder=str(folder), steps=3, min_time_s=0.02, window_s=0.002)
    with Launcher({"fake": manifest}, cold=cold) as launcher:
        return launcher.run(request, 20.0, folder.parent / "log")


@pytest.mark.parametrize("cold", [True, False])
def test_a_cell_is_measured(other: Interpreter, tmp_path: Path, cold: bool) -> None:
    outcome = run_cell(other, tmp_path / "cell", cold=cold)
    assert outcome.ok, (outcome.fields, (tmp_path / "log").read_text())
    assert outcome.fields["start"] == ("cold" if cold else "fork")


def test_it_needs_numpy_of_its_own(tmp_path: Path) -> None:
    bare = Interpreter(name="bare", path=str(make_python(tmp_path / "bare")))
    outcome = run_cell(bare, tmp_path / "cell", cold=True)
    assert outcome.fields["status"] == "crashed" and "No module named 'numpy'" in outcome.fields["log_tail"]


def test_it_does_not_see_what_is_installed_for_the_runner(other: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere/of/the/runner")
    with Launcher(MANIFESTS, cold=True) as launcher:
        theirs, own = launcher._path(other, "impls.torch"), launcher._path(interpreters.OWN_INTERPRETER, "impls.torch")
        seen = (
            "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('bench', 'impls', 'psutil', 'tests')])"
        )
        environment = {"PYTHONPATH": theirs, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [other.path, "-P", "-c", seen], env=environment, capture_output=True, text=True, check=True
        )
    assert json.loads(done.stdout.lower()) == [True, True, False, False]
    assert "/somewhere/of/the/runner" in own and "/somewhere" not in theirs


def test_it_is_asked_what_it_has(other: Interpreter) -> None:
    assert other.python == platform.python_version()
    assert other.versions(["numpy", "psutil"]) == {"numpy": np.__version__}
    assert other.has("numpy") and not other.has("psutil")
    own = interpreters.OWN_INTERPRETER
    assert own.python == other.python and own.versions(["numpy"]) == {"numpy": np.__version__}
    assert own.ask("psutil", ("numpy", "none-such")) == ask.answer("psutil", ("numpy", "none-such"))


def test_records_name_it_and_another_one_is_a_change(other: Interpreter, tmp_path: Path) -> None:
    manifests = {"fake": replace(MANIFESTS["fake"], interpreter=other)}
    settings = Settings(repeats=1, min_time_s=0.01, out=tmp_path / "run", report=False)
    choice = Choice(impl=("fake",), workload=("autoencoder",), precision=("fp32",))
    assert run.run(choice, settings, manifests) == 0
    (found,) = store.load(tmp_path / "run").records
    assert found["interpreter"] == {"name": "other", "python": platform.python_version()}
    assert found["versions"]["numpy"] == np.__version__
    with pytest.raises(WrongInput, match="fake: the Python that ran it was other and is own"):
        run.resume(tmp_path / "run", MANIFESTS, report=False)


def test_a_python_is_named_by_its_path(other: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = interpreters.given([f"torch={other.path}"], ["torch", "jax"]).items()
    assert found == ("torch", Interpreter(name=other.path, path=other.path))
    monkeypatch.setenv("HOME", str(Path(other.path).parents[2]))
    assert interpreters.given(["jax=~/env/bin/python"], ["jax"])["jax"].name == "~/env/bin/python"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("/usr/bin/python3", "give FRAMEWORK=PATH, with one of torch, jax"),
        ("pytorch=/usr/bin/python3", "give FRAMEWORK=PATH, with one of torch, jax"),
        ("torch=", "give FRAMEWORK=PATH"),
        ("torch=/nowhere/python", "there is no such file"),
        ("torch={folder}", "that is a folder; give its Python"),
        ("torch={folder}/text", "is no Python 3.11 or newer that runs here: Permission denied"),
        ("torch=/bin/true", "is no Python 3.11 or newer that runs here: it answered nothing"),
        ("torch={folder}/old", "is no Python 3.11 or newer that runs here: unknown option -P"),
    ],
)
def test_what_is_no_python_is_refused(tmp_path: Path, word: str, said: str) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "old").write_text("#!/bin/sh\necho 'unknown option -P' >&2\nexit 2\n")
    (tmp_path / "old").chmod(0o755)
    with pytest.raises(WrongInput) as error:
        interpreters.given([word.format(folder=tmp_path)], ["torch", "jax"])
    assert said in str(error.value)
