"""The package as users get it: a built wheel in a clean environment, far from the checkout.

And a machine with nothing but Python: the doctor's advice, followed word for word, ends in a run of each framework.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS = ROOT / "constraints.txt"
RUN = "run --workload autoencoder --precision fp32 --repeats 1 --min-time 0.1"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    beside = shutil.ignore_patterns(".*", "build", "dist", "results", "tests", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, folder / "source", ignore=beside)  # building leaves files behind, which wheels take
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(words, check=True, cwd=folder)
    (found,) = folder.glob("samestep-*.whl")
    return found


@pytest.fixture
def home(tmp_path: Path) -> Mapping[str, str]:
    """An environment of variables that knows neither the checkout nor this machine's evidence and environments."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    own = {
        "HOME": str(tmp_path),
        "SAMESTEP_CACHE": str(tmp_path / "cache"),
        "SAMESTEP_ENVIRONMENTS": str(tmp_path / "e"),
    }
    return {**kept, **own, "PATH": f"{tmp_path}/env/bin:{kept['PATH']}"}


def shell(command: str, home: Mapping[str, str], *, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run what a user would type, in an empty folder."""
    place = Path(home["HOME"]) / "place"
    place.mkdir(exist_ok=True)
    done = subprocess.run(["bash", "-c", command], cwd=place, env=home, capture_output=True, text=True, timeout=900)
    assert done.returncode == code, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def install(wheel: Path, extras: str, home: Mapping[str, str]) -> None:
    shell(f"{sys.executable} -m venv {home['HOME']}/env", home)
    shell(f"python -m pip install --quiet --constraint {PINS} '{wheel}{extras}'", home)


def test_run_report_and_compare_from_a_wheel(wheel: Path, home: Mapping[str, str]) -> None:
    install(wheel, "[torch,jax]", home)
    where = shell("python -c 'import bench; print(bench.__file__)'", home).stdout.strip()
    assert where.startswith(home["HOME"])
    done = shell(f"samestep {RUN} --impl torch,jax --out run", home)
    assert "no report: bench: pandas is not installed: pip install 'samestep[report]'" in done.stderr
    assert "adam, 20 steps" not in done.stderr, "its proofs are shipped with it: no float64 of 20 steps is traced"
    records = [json.loads(line) for line in (Path(home["HOME"]) / "place/run/records.jsonl").read_text().splitlines()]
    assert {(one["cell"]["impl"], one["status"], one["parity"]["verdict"]) for one in records} == {
        ("torch", "ok", "proven"), ("jax", "ok", "proven"),
    }  # fmt: skip
    assert "is not installed" in shell("samestep report run", home, code=2).stderr
    shell(f"python -m pip install --quiet --constraint {PINS} '{wheel}[report]'", home)
    page = Path(shell("samestep report run", home).stdout.strip())
    assert "PyTorch eager" in (Path(home["HOME"]) / "place" / page).read_text(encoding="utf-8")
    compared = shell("samestep compare run --by impl --base torch -o compare.html", home)
    assert "Throughput of 1 pair of cells" in compared.stdout
    assert "JAX" in (Path(home["HOME"]) / "place" / "compare.html").read_text(encoding="utf-8")
    assert "tensorflow is not installed" in shell("samestep list", home).stdout.replace("\n", " ")


@pytest.mark.parametrize("impl", ["torch", "tf", "jax"])
def test_following_the_doctor_ends_in_a_run(wheel: Path, home: Mapping[str, str], impl: str) -> None:
    install(wheel, "", home)
    ill = shell(f"samestep doctor --impl {impl} --json", home, code=1)
    checks = [json.loads(line) for line in ill.stdout.splitlines()]
    wrong = [one for one in checks if one["state"] == "fails"]
    assert [one["what"] for one in wrong] == [impl]
    for one in wrong:
        shell(one["mend"], home)
    well = shell(f"samestep doctor --impl {impl}", home)
    assert f"run by {impl}-cpu" in well.stdout and "fails" not in well.stdout
    shell(f"samestep {RUN} --impl {impl} --no-report --out run", home)
    (line,) = (Path(home["HOME"]) / "place/run/records.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["status"], record["interpreter"]["name"]) == ("ok", f"{impl}-cpu")
    assert record["parity"]["verdict"] in ("proven", "consistent")
