"""Makes and removes environments: `venv` and `pip`, or `uv`, and the versions that a framework's locks pin."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.environments import MARK, Environment, find, home, python_of
from bench.manifests import Manifest
from bench.spec import WrongInput

INSTALLERS = ("auto", "uv", "pip")


class Incomplete(Exception):
    """An environment could not be made; the text says why. Nothing of it is left."""


def lock(manifest: Manifest, accelerator: str) -> Path:
    """The versions that an environment holds.

    Raises:
        WrongInput: there is no such environment, and why.
    """
    if accelerator in manifest.environments:
        return manifest.lock(accelerator)
    why = manifest.no_environment.get(accelerator) or manifest.unsupported.get(accelerator)
    known = ", ".join(manifest.environments) or "none"
    raise WrongInput(f"no environment of {manifest.name} for {accelerator}: {why or f'there is one for {known}'}")


def check(manifest: Manifest, accelerator: str, installer: str, index: str | None) -> None:
    """Raises WrongInput if an environment cannot be made so, or is there; makes nothing."""
    lock(manifest, accelerator)
    choose_installer(installer, manifest, accelerator, index)
    there, folder = find(manifest.name), home() / manifest.name
    if there and there.complete:
        raise WrongInput(f"{folder} is there, for {there.accelerator}: remove it with bench env remove {manifest.name}")
    if folder.exists() and not there:
        raise WrongInput(f"{folder} is there and was not made by bench env: move it away")


def choose_installer(asked: str, manifest: Manifest, accelerator: str, index: str | None) -> str:
    """`uv` where it is, else `pip`.

    Raises:
        WrongInput: it is not here, or cannot find such a build.
    """
    found = ("uv" if shutil.which("uv") else "pip") if asked == "auto" else asked
    if found == "uv" and not shutil.which("uv"):
        raise WrongInput("--installer uv: there is no uv here; pip install uv, or leave the option away")
    if found == "pip" and accelerator in manifest.elsewhere and not index:
        raise WrongInput(
            f"{manifest.name} for {accelerator} is not on PyPI: install uv, which knows where it is (pip install uv), "
            "or name its index with --index URL"
        )
    return found


def create(manifest: Manifest, accelerator: str, *, installer: str, python: str, index: str | None) -> Environment:
    """Make the environment of a framework; what installs says how it goes on this process's own output.

    Args:
        manifest: the framework's.
        accelerator: one of the manifest's `environments`.
        installer: of `INSTALLERS`.
        python: executable of the Python that it is made with.
        index: address of a package index to look at besides the usual one.

    Raises:
        WrongInput: it cannot be made so, or is there.
        Incomplete: a step of it failed.
    """
    check(manifest, accelerator, installer, index)
    pins, folder = lock(manifest, accelerator), home() / manifest.name
    tool = choose_installer(installer, manifest, accelerator, index)
    if folder.exists():
        shutil.rmtree(folder)  # of a try that was cut off
    told = {"accelerator": accelerator, "installer": tool}
    try:
        folder.mkdir(parents=True)
        write_mark(folder, told | {"complete": False})
        for words in steps(tool, folder, pins, python, [*manifest.uv.get(accelerator, ())], index):
            perform(words)
        perform([str(python_of(folder)), "-c", f"import {manifest.module}"])
        write_mark(folder, told | {"complete": True})
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise Incomplete(f"{error.strerror or error}: {error.filename or folder}") from error
        raise
    made = find(manifest.name)
    assert made is not None
    return made


def steps(tool: str, folder: Path, pins: Path, python: str, flags: list[str], index: str | None) -> list[list[str]]:
    """The commands that make an environment, in order."""
    own = str(python_of(folder))
    if tool == "uv":
        also = ["--index", index] if index else []
        return [
            ["uv", "venv", "--quiet", "--allow-existing", "--python", python, str(folder)],
            ["uv", "pip", "install", "--python", own, *flags, *also, "--requirements", str(pins)],
        ]
    also = ["--extra-index-url", index] if index else []
    return [
        [python, "-m", "venv", str(folder)],
        [own, "-m", "pip", "install", "--disable-pip-version-check", *also, "--requirement", str(pins)],
    ]


def perform(words: Sequence[str]) -> None:
    """Run a command to its end; what it prints goes to standard error, as results alone go to standard output."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # the runner's own packages
    code = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=plain).returncode
    if code:
        raise Incomplete(f"{Path(words[0]).name} {' '.join(words[1:4])} … ended with exit code {code}")


def write_mark(folder: Path, told: Mapping[str, Any]) -> None:
    (folder / MARK).write_text(json.dumps(told) + "\n")


def remove(framework: str) -> Environment:
    """Remove an environment.

    Raises:
        WrongInput: there is none that was made here.
    """
    found = find(framework)
    if found is None:
        raise WrongInput(f"no environment of {framework} in {home()}: bench env list shows those that there are")
    shutil.rmtree(found.folder)
    return found
