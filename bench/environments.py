"""The environments that `bench env` has made: one virtual environment a framework, with locked versions.

Builds for GPUs need one each: PyTorch brings CUDA 13 and TensorFlow CUDA 12, and in one environment the libraries of
one break the other. They lie in `$SAMESTEP_ENVIRONMENTS`, by default `~/.local/share/samestep/environments`, each in a
folder of its framework's name that a file marks as made here: no other folder is ever removed.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.interpreters import Interpreter

MARK = "samestep.json"  # in the folder of an environment, written first; `complete` once all is installed
ACCELERATORS = ("cpu", "cuda12", "cuda13", "rocm", "tpu")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One that there is."""

    framework: str
    accelerator: str
    installer: str
    complete: bool
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.framework}-{self.accelerator}"

    @property
    def interpreter(self) -> Interpreter:
        return Interpreter(name=self.name, path=str(python_of(self.folder)))


def home() -> Path:
    """Where environments lie."""
    if given := os.environ.get("SAMESTEP_ENVIRONMENTS"):
        return Path(given).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "samestep" / "environments"


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def find(framework: str) -> Environment | None:
    """The environment of a framework; a folder without a mark that can be read is none."""
    folder = home() / framework
    try:
        told: Any = json.loads((folder / MARK).read_text())
        return Environment(
            framework=framework,
            accelerator=str(told["accelerator"]),
            installer=str(told["installer"]),
            complete=told["complete"] is True,
            folder=folder,
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def interpreters(frameworks: Iterable[str]) -> dict[str, Interpreter]:
    """Those of complete environments, by framework."""
    found = {name: find(name) for name in frameworks}
    return {name: one.interpreter for name, one in found.items() if one and one.complete}


def size_bytes(folder: Path) -> int:
    """What the files in it take on the disk, each counted once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if not path.is_symlink() and path.is_file():
            status = path.stat()
            seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())
