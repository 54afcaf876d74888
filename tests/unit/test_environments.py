"""Environments of `bench env`: what is made by which commands, and that nothing else is ever overwritten or removed."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import cli, environments, install, manifests
from bench.environments import Environment
from bench.manifests import Manifest
from bench.spec import PLATFORMS, WrongInput

KNOWN = manifests.known()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMESTEP_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run."""
    found: list[list[str]] = []
    monkeypatch.setattr(install, "perform", lambda words: found.append(list(words)))
    return found


def with_uv(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if there or name != "uv" else None)


def create(
    manifest: Manifest, accelerator: str = "cpu", installer: str = "pip", index: str | None = None
) -> Environment:
    return install.create(manifest, accelerator, installer=installer, python="/usr/bin/python3", index=index)


def bench(*arguments: str) -> int:
    return cli.guard(lambda: cli.app(list(arguments), standalone_mode=False))


@pytest.mark.parametrize("name", manifests.BUILT_IN)
def test_every_accelerator_has_its_locks_or_a_reason(name: str) -> None:
    manifest = KNOWN[name]
    for accelerator in environments.ACCELERATORS:
        if accelerator in manifest.environments:
            lines = manifest.lock(accelerator).read_text().splitlines()
            assert lines[0] == f"# Made by scripts/locks.py from: {' '.join(manifest.environments[accelerator])}"
            assert all("==" in line for line in lines[1:]) and len(lines) > 8
            asked = {re.sub(r"\[.*\]", "", word) for word in manifest.environments[accelerator]}
            assert asked <= {line.partition(" ;")[0] for line in lines[1:]}
        else:
            with pytest.raises(WrongInput, match=f"no environment of {name} for {accelerator}: ."):
                install.lock(manifest, accelerator)
    assert set(manifest.locks()) == set(manifest.environments), "no lock that nothing asks for"
    assert set(manifest.uv) <= set(manifest.environments) >= set(manifest.elsewhere)
    assert {"cuda12", "cuda13"} & set(manifest.environments) and set(PLATFORMS) >= {"cpu", "rocm", "tpu"}


@pytest.mark.parametrize("name", manifests.BUILT_IN)
def test_locks_hold_the_versions_that_are_tested(name: str) -> None:
    lines = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    tested = {
        package.lower().replace("_", "-"): version for package, _, version in (one.partition("==") for one in lines)
    }
    for line in KNOWN[name].lock("cpu").read_text().splitlines()[1:]:
        package, _, version = line.partition(" ;")[0].partition("==")
        assert tested.get(package, version) == version, line


def test_pip_makes_one(home: Path, ran: list[list[str]]) -> None:
    made = create(KNOWN["torch"])
    own = str(home / "torch" / "bin" / "python")
    assert ran == [
        ["/usr/bin/python3", "-m", "venv", str(home / "torch")],
        [own, "-m", "pip", "install", "--disable-pip-version-check", "--requirement", str(KNOWN["torch"].lock("cpu"))],
        [own, "-c", "import torch"],
    ]
    assert made == environments.find("torch") and made.complete and made.name == "torch-cpu"
    assert environments.interpreters(["torch", "tf"]) == {"torch": made.interpreter}
    assert made.interpreter.path == own and made.interpreter.name == "torch-cpu"


def test_uv_makes_one_and_knows_pytorchs_index(
    home: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_uv(monkeypatch, True)
    create(KNOWN["torch"], "rocm", "auto", "https://index.example/simple")
    own, pins = str(home / "torch" / "bin" / "python"), str(KNOWN["torch"].lock("rocm"))
    assert ran[0] == ["uv", "venv", "--quiet", "--allow-existing", "--python", "/usr/bin/python3", str(home / "torch")]
    assert ran[1] == [
        "uv", "pip", "install", "--python", own, "--torch-backend", "rocm7.2", "--index",
        "https://index.example/simple", "--requirements", pins,
    ]  # fmt: skip


def test_pip_cannot_find_builds_that_pypi_lacks(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    with_uv(monkeypatch, False)
    with pytest.raises(WrongInput, match="torch for cuda12 is not on PyPI: install uv"):
        create(KNOWN["torch"], "cuda12", "auto")
    assert ran == []
    create(KNOWN["torch"], "cuda12", "auto", "https://index.example/simple")
    assert "--extra-index-url https://index.example/simple" in " ".join(ran[1])
    with pytest.raises(WrongInput, match="there is no uv here"):
        create(KNOWN["tf"], "cpu", "uv")


def test_what_is_there_stays(home: Path, ran: list[list[str]]) -> None:
    create(KNOWN["jax"], "cuda13")
    with pytest.raises(WrongInput, match="is there, for cuda13: remove it with bench env remove jax"):
        create(KNOWN["jax"])
    (home / "torch").mkdir()
    (home / "torch" / "thesis.tex").write_text("mine")
    with pytest.raises(WrongInput, match="was not made by bench env"):
        create(KNOWN["torch"])
    with pytest.raises(WrongInput, match="no environment of torch"):
        install.remove("torch")
    assert (home / "torch" / "thesis.tex").read_text() == "mine"
    assert install.remove("jax").name == "jax-cuda13"
    assert not (home / "jax").exists()


@pytest.mark.parametrize(
    "fault", [install.Incomplete("pip ended with exit code 1"), OSError(28, "No space left on device")]
)
def test_a_failure_leaves_nothing(home: Path, fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(words: Sequence[str]) -> None:
        raise fault

    monkeypatch.setattr(install, "perform", fail)
    with pytest.raises(install.Incomplete, match=r"exit code 1|No space left"):
        create(KNOWN["jax"])
    assert list(home.iterdir()) == []


def test_one_that_was_cut_off_is_not_taken_and_is_made_anew(home: Path, ran: list[list[str]]) -> None:
    (home / "tf" / "bin").mkdir(parents=True)
    (home / "tf" / "half").touch()
    install.write_mark(home / "tf", {"accelerator": "cpu", "installer": "pip", "complete": False})
    assert environments.interpreters(["tf"]) == {} and manifests.find()["tf"].interpreter.is_own
    assert create(KNOWN["tf"]).complete and not (home / "tf" / "half").exists()


@pytest.mark.parametrize("mark", ["", "[]", "{}", '{"accelerator": 3}', '{"accelerator": "cpu", "installer": "pip"}'])
def test_an_odd_mark_makes_no_environment(home: Path, mark: str) -> None:
    (home / "jax").mkdir(parents=True)
    (home / "jax" / environments.MARK).write_text(mark)
    assert environments.interpreters(["jax"]) == {}


def test_the_runner_takes_it_unless_another_is_named(home: Path, ran: list[list[str]]) -> None:
    assert manifests.find()["jax"].interpreter.is_own
    create(KNOWN["jax"])
    assert manifests.find()["jax"].interpreter.name == "jax-cpu"
    assert manifests.find()["torch"].interpreter.is_own
    assert manifests.find([f"jax={sys.executable}"])["jax"].interpreter.path == sys.executable


def test_commands(home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        bench("env", "create", "all", "--accelerator", "cuda12", "--installer", "pip", "--index", "https://i.example")
        == 0
    )
    told = capsys.readouterr()
    assert told.out == "" and [f"{name}-cuda12 is ready" in told.err for name in KNOWN] == [True] * 3
    assert {path.name for path in home.iterdir()} == set(KNOWN)
    assert json.loads((home / "tf" / environments.MARK).read_text())["complete"] is True
    assert bench("env", "create", "torch,jax") == 2
    assert "is there, for cuda12" in capsys.readouterr().err
    assert bench("env", "remove", "torch,tf") == 0 and {path.name for path in home.iterdir()} == {"jax"}
    assert bench("env", "remove", "all") == 0 and list(home.iterdir()) == []
    assert bench("env", "remove", "torch") == 2
    assert "bench env list shows" in capsys.readouterr().err
    assert bench("env", "list") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "torhc"), "unknown framework 'torhc': did you mean torch?"),
        (("create", "torch", "--accelerator", "cuda14"), "unknown accelerator 'cuda14': did you mean cuda1"),
        (
            ("create", "tf", "--accelerator", "cuda13"),
            "no environment of tf for cuda13: TensorFlow 2.21 is built for CUDA 12",
        ),
        (("create", "torch,tf", "--accelerator", "tpu"), "no environment of torch for tpu: PyTorch computes there by"),
        (("create", "jax", "--installer", "conda"), "unknown installer 'conda': valid: auto, uv, pip"),
        (("create", ""), "no framework given"),
    ],
)
def test_wrong_input(
    arguments: tuple[str, ...], said: str, home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("env", *arguments) == 2
    assert said in capsys.readouterr().err
    assert ran == [] and not home.exists()
