"""The Pythons that run cells: the runner's own, one of an environment that `bench env` made, or one that was named."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench import ask
from bench.spec import WrongInput

OWN = "own"
ANSWER_S = 60.0  # a limit against a Python that hangs: one answers in 0.1 s, from a cold network disk in seconds
LEAST = "3.11"


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python that runs cells."""

    name: str  # as records have it: `own`, that of an environment, or the path that was given
    path: str

    @property
    def is_own(self) -> bool:
        return self.name == OWN

    def has(self, module: str) -> bool:
        """Whether it finds a module."""
        return self.ask(module, ())["module"]

    def versions(self, distributions: Sequence[str]) -> dict[str, str]:
        """Versions of those that it has."""
        return self.ask("sys", tuple(distributions))["versions"]

    @property
    def python(self) -> str:
        """Its own version."""
        return self.ask("sys", ())["python"]

    @property
    def headers(self) -> bool:
        """Whether its C headers are there, against which compiled programs are built."""
        return self.ask("sys", ())["headers"]

    def ask(self, module: str, distributions: Sequence[str]) -> dict[str, Any]:
        """The answer of `bench.ask`, once.

        Raises:
            WrongInput: this is no Python that can run cells.
        """
        return asked(self.path, module, tuple(distributions))


@cache
def asked(path: str, module: str, distributions: tuple[str, ...]) -> dict[str, Any]:
    """What the Python at a path answers; the own one needs no process to be asked."""
    if path == sys.executable:
        return ask.answer(module, distributions)
    words = [path, "-P", str(Path(ask.__file__)), module, *distributions]
    fault = f"{path} is no Python {LEAST} or newer that runs here"
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_S, stdin=subprocess.DEVNULL)
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise WrongInput(f"{fault}: it gave no answer within {ANSWER_S:g} s") from None
    except OSError as error:
        raise WrongInput(f"{fault}: {error.strerror or error}") from None
    except ValueError:
        told = (done.stderr or done.stdout).strip().splitlines()  # pyright: ignore[reportPossiblyUnboundVariable]
        raise WrongInput(f"{fault}: {told[-1] if told else 'it answered nothing'}") from None


OWN_INTERPRETER = Interpreter(name=OWN, path=sys.executable)


def given(words: Sequence[str], frameworks: Sequence[str]) -> dict[str, Interpreter]:
    """The interpreters that `--python torch=PATH` names, by framework.

    Raises:
        WrongInput: it names no framework that there is, or no Python.
    """
    found: dict[str, Interpreter] = {}
    for word in words:
        framework, equals, path = word.partition("=")
        if not equals or framework not in frameworks or not path:
            known = ", ".join(frameworks)
            raise WrongInput(
                f"--python {word}: give FRAMEWORK=PATH, with one of {known}, such as torch=/opt/t/bin/python"
            )
        absolute = Path(path).expanduser().absolute()  # not resolved: a link is what makes it an environment's
        if absolute.is_dir():
            raise WrongInput(f"--python {word}: that is a folder; give its Python, such as {path}/bin/python")
        if not absolute.exists():
            raise WrongInput(f"--python {word}: there is no such file")
        found[framework] = Interpreter(name=shown(absolute), path=str(absolute))
        _ = found[framework].python
    return found


def shown(path: Path) -> str:
    """A path as records have it: without the name of a user, where it lies in their folder."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)
