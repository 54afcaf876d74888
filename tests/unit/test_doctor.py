"""`bench doctor`: each thing that can be amiss is named with the command that mends it, and only then is the exit 1."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import cli, doctor, environments, install, manifests
from bench.doctor import Check, frameworks, surroundings
from bench.interpreters import Interpreter
from bench.machine import accelerators, gpu, idle
from bench.ranks import Outcome
from tests.process.test_launch import CELL

KNOWN = manifests.known()
QUIET = idle.Load(cores=2, foreign_cores=0.0, load_1min=0.1, machine_cores=2)
FAKES = {"fake": manifests.read("fake", "tests.fake")}


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESTEP_ENVIRONMENTS", str(tmp_path / "environments"))
    monkeypatch.setattr(idle, "sample_load", lambda _: QUIET)


def bench(*arguments: str) -> int:
    return cli.guard(lambda: cli.app(list(arguments), standalone_mode=False))


def test_all_is_well_on_the_fake_framework(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(manifests, "find", lambda python=(): FAKES)
    assert bench("doctor", "--impl", "fake", "--precision", "fp32", "--out", str(tmp_path / "results"), "--json") == 0
    checks = {one["what"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {"devices", "noise", "runs", "temporary files", "evidence", "fake", "fake on cpu", "fake fp32"} <= {*checks}
    assert checks["fake fp32"]["told"] == "matmul fp32, conv fp32"
    assert checks["fake all-reduce"]["told"].startswith("two emulated devices, ")
    assert {one["state"] for one in checks.values()} <= {"ok", "note"}
    assert not (tmp_path / "results").exists(), "nothing is written"


def test_a_precision_that_is_not_kept_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "computes-tf32")
    monkeypatch.setattr(manifests, "find", lambda python=(): FAKES)
    assert bench("doctor", "--impl", "fake", "--precision", "fp32") == 1
    told = capsys.readouterr().out
    assert "fails fake fp32: invalid: fp32 was asked for, products have another precision: matmul: tf32" in told
    assert "ok    fake on cpu" in told and "ok    fake all-reduce" not in told


@pytest.mark.parametrize(("fault", "said"), [("raise-build", "crashed: RuntimeError in compile"), ("oom-step", "oom")])
def test_one_that_does_not_train_fails(
    fault: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAULT", fault)
    monkeypatch.setattr(manifests, "find", lambda python=(): FAKES)
    assert bench("doctor", "--impl", "fake", "--precision", "fp32") == 1
    assert f"fails fake on cpu: {said}" in capsys.readouterr().out


def checks_of(impl: str, platform: str = "cpu", **changed: object) -> list[Check]:
    """What is said of a framework that cannot be started; no process is."""
    cell = replace(CELL, impl=impl, platform=platform)
    return list(frameworks.framework([cell], replace(KNOWN[impl], **changed), runner=None))  # type: ignore[arg-type]


@pytest.mark.parametrize("impl", manifests.BUILT_IN)
def test_a_framework_that_is_missing_is_installed_by_bench_env(impl: str) -> None:
    (found,) = checks_of(impl, module="no_such_framework")
    assert found.state == "fails" and found.told == "no_such_framework is not installed"
    assert found.mend.endswith(f" env create {impl} --accelerator cpu")
    (found,) = checks_of(impl, module="no_such", interpreter=Interpreter(name="~/p", path=sys.executable))
    assert found.told == "no_such is not installed for ~/p"


def test_what_compiled_variants_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("ctypes.util.find_library", lambda name: "libcuda.so.1")
    monkeypatch.setattr(Interpreter, "headers", True)
    assert list(frameworks.compilers(KNOWN["torch"], "cuda")) == list(frameworks.compilers(KNOWN["jax"], "cuda")) == []
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    monkeypatch.setattr(Interpreter, "headers", False)
    found = [(one.state, one.mend) for one in frameworks.compilers(KNOWN["torch"], "cuda")]
    assert found == [
        ("note", "apt-get install g++"),
        ("note", "apt-get install python3-dev"),
        ("note", "ldconfig FOLDER_OF_LIBCUDA"),
    ]
    assert len(list(frameworks.compilers(KNOWN["torch"], "cpu"))) == 2


def test_a_python_that_is_gone(tmp_path: Path) -> None:
    (found,) = checks_of("jax", interpreter=Interpreter(name="jax-cpu", path=str(tmp_path / "python")))
    assert found.state == "fails" and "No such file or directory" in found.told and "env create jax" in found.mend


def test_devices_that_may_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "kfd").touch()
    assert list(surroundings.permissions("rocm", tmp_path)) == []
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the administrator, whom tests may run as, may all
    (found,) = surroundings.permissions("rocm", tmp_path)
    assert found.state == "fails" and "usermod" in found.mend
    assert list(surroundings.permissions("cuda", tmp_path)) == []


def test_an_environment_that_is_no_good_is_removed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "perform", lambda words: None)
    install.create(KNOWN["jax"], "cpu", installer="pip", python="/usr/bin/python3", index=None)
    assert environments.find("jax") is not None
    mend = frameworks.install(KNOWN["jax"], "tpu")
    first, second = mend.split(" && ")
    assert first.endswith("env remove jax") and second.endswith("env create jax --accelerator tpu")


@pytest.mark.parametrize(
    ("impl", "driver", "accelerator"),
    [
        ("torch", "13.0", "cuda13"),
        ("torch", "12.8", "cuda12"),
        ("tf", "13.1", "cuda12"),
        ("jax", "12.2", "cuda12"),
        ("jax", "14.0", "cuda13"),
        ("jax", None, "cuda12"),
        ("torch", "11.8", None),
    ],
)
def test_of_cuda_the_newest_that_the_driver_can_run(
    impl: str, driver: str | None, accelerator: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "fingerprint", lambda: {"devices": [], "cuda_driver": driver})
    assert frameworks.suited(KNOWN[impl], "cuda") == accelerator
    assert bool(frameworks.install(KNOWN[impl], "cuda")) == (accelerator is not None)


def test_a_platform_that_a_framework_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = checks_of("torch", "tpu")
    assert found.state == "fails" and "torch_xla" in found.told


def outcome(status: str, **fields: object) -> Outcome:
    return Outcome(fields={"status": status, "reason": "words", "ranks": [{"device": "H100"}], **fields})


def test_what_trains_and_what_does_not() -> None:
    cell = replace(CELL, impl="torch", platform="cuda")
    good = frameworks.trains(cell, outcome("invalid"), KNOWN["torch"])
    assert good.state == "ok" and "H100" in good.told
    bad = frameworks.trains(cell, outcome("unavailable"), KNOWN["torch"])
    assert bad.state == "fails" and bad.told == "unavailable: words" and "env create torch" in bad.mend
    crashed = frameworks.trains(cell, outcome("crashed", log_tail="one\nlast line\n"), KNOWN["torch"])
    assert crashed.told == "crashed: words (last line)" and crashed.mend == ""


def test_a_variable_that_forces_tf32_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert frameworks.keeps(CELL, outcome("invalid")).mend == ""
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    assert frameworks.keeps(CELL, outcome("invalid")).mend == "unset NVIDIA_TF32_OVERRIDE"
    kept = outcome("ok", effective_precision={"matmul": "fp32", "conv": None})
    assert frameworks.keeps(CELL, kept) == Check(what=f"fake {CELL.precision}", state="ok", told="matmul fp32")


class OneRunner:
    def __init__(self, found: Outcome) -> None:
        self.found = found

    def measure(self, job: object) -> Outcome:
        return self.found


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_joining_two_devices(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [replace(CELL, platform=platform, devices=count, engine="distributed") for count in (1, 2)]
    devices: Mapping[str, tuple[str, ...]] = {"cpu": ("2 cores",), "cuda": ("H100", "H100")}
    monkeypatch.setattr(accelerators, "here", lambda: devices)
    told = {"all_reduce": [{"bytes": 4096, "seconds": 1.0}, {"bytes": 2**20, "seconds": 0.5}]}
    good = frameworks.joins(cells, FAKES["fake"], OneRunner(outcome("ok", communication=told)))  # type: ignore[arg-type]
    kind = "emulated " if platform == "cpu" else ""
    assert good.state == "ok" and good.told == f"two {kind}devices, 1.00\xa0MiB in 500\xa0ms"
    bad = frameworks.joins(cells, FAKES["fake"], OneRunner(outcome("timeout")))  # type: ignore[arg-type]
    assert bad.state == "fails" and bad.told == "timeout: words"
    monkeypatch.setattr(accelerators, "here", lambda: devices | {"cuda": ("H100",)})
    alone = frameworks.joins(cells, FAKES["fake"], OneRunner(outcome("timeout")))  # type: ignore[arg-type]
    assert alone.state == ("fails" if platform == "cpu" else "ok")


@pytest.mark.parametrize(("platform", "mend"), [("cuda", "nvidia-smi"), ("rocm", "rocm-smi"), ("tpu", "")])
def test_devices_that_are_not_there(platform: str, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "here", lambda: {"cpu": ("2 cores",), "cuda": (), "rocm": (), "tpu": ()})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = surroundings.devices(platform)
    assert (found.state, found.mend) == ("fails", mend)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert surroundings.devices("cuda").mend == "unset CUDA_VISIBLE_DEVICES"
    assert surroundings.devices("cpu").state == "ok"


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert surroundings.place("runs", tmp_path / "not" / "yet", "--out").state == "ok"
    assert not (tmp_path / "not").exists() and list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    bad = surroundings.place("runs", tmp_path / "file" / "results", "--out FOLDER")
    assert bad.state == "fails" and "cannot be written to: Not a directory" in bad.told and bad.mend == "--out FOLDER"
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2**20))
    full = surroundings.place("runs", tmp_path, "--out FOLDER")
    assert full.state == "fails" and "has 1.00\xa0MiB free, 1.00\xa0GiB are needed" in full.told


def test_noise_and_the_lack_of_a_report_are_only_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = idle.Load(cores=2, foreign_cores=1.5, load_1min=2.0, machine_cores=2, busiest=[("compiler", 1.5)])
    monkeypatch.setattr(idle, "sample_load", lambda cores: busy)
    (_, noise) = surroundings.machine("cpu")
    assert noise.state == "note" and "compiler" in noise.told and noise.mend.endswith("run --wait-for-idle")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = {one.what: one for one in surroundings.reporting()}
    assert {one.state for one in found.values()} == {"note"} and doctor.well(found.values())
    assert "-m pip install 'pandas>=2.2' 'plotly>=6' 'jinja2>=3.1'" in found["report"].mend


def test_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.browsers.find", lambda: None)
    found = {one.what: one for one in surroundings.reporting()}
    assert (found["images"].state, found["images"].mend) == ("note", "apt-get install chromium")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--impl", "jacks"), "unknown impl 'jacks': valid: torch, tf, jax"),
        (("--platform", "gpu"), "unknown platform 'gpu'"),
        (("--precision", "fp23"), "unknown precision 'fp23'"),
        (("--python", "torch=/nowhere"), "there is no such file"),
    ],
)
def test_wrong_input(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("doctor", *arguments) == 2
    assert said in capsys.readouterr().err
