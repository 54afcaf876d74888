"""The runner's side of a template: a process that has imported a framework and forks cells (`bench.template`)."""

import json
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import GRACE_S, end, next_line

# Limits against a template that hangs, not expectations: what takes longer costs a cell its result.
IMPORT_TIMEOUT_S = 300.0  # to import its framework, which takes 1 to 10 s, and a minute from a cold network disk
FORK_TIMEOUT_S = 30.0  # to fork a cell, which takes milliseconds
FORK_IMPORTS = 5  # or so many times what the import took, where that is more: a machine that is slow, or swaps


@dataclass(kw_only=True)
class Template:
    """A process that has imported a framework and forks cells."""

    process: "subprocess.Popen[bytes]"
    import_s: float = 0.0  # that its framework took to import

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait_until_ready(self, timeout_s: float, module: str) -> None:
        """Wait until it has imported its framework.

        Raises:
            TimeoutError: it took too long.
            OSError: it ended.
        """
        try:
            self.import_s = float(self.answer(timeout_s)["import_s"])
        except TimeoutError:
            raise TimeoutError(f"importing {module} took longer than {timeout_s:g} s") from None
        except OSError as error:
            raise OSError(f"{error} while it imported {module}") from error

    def fork(self, request_file: Path, package: str, log: Path, variables: Mapping[str, str]) -> int:
        """Process id of a new cell, which runs the code of `package`.

        Raises:
            OSError: the template is gone, or stopped.
        """
        assert self.process.stdin is not None
        order = {"request": str(request_file), "package": package, "log": str(log), "variables": dict(variables)}
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        try:
            return int(self.answer(max(FORK_TIMEOUT_S, FORK_IMPORTS * self.import_s))["pid"])
        except TimeoutError:
            raise OSError("the template process does not answer") from None

    def answer(self, timeout_s: float) -> dict[str, Any]:
        """The next line that it writes.

        Raises:
            TimeoutError: it took too long.
            OSError: it ended.
        """
        if line := next_line(self.process, timeout_s):
            return json.loads(line)
        raise OSError(f"the template process {self.end()}")

    def end(self) -> str:
        """How it ended, which it has, or is about to."""
        with suppress(subprocess.TimeoutExpired):
            if (code := self.process.wait(1.0)) < 0:  # only for the words: its pipe is closed already
                return f"was ended by {signal.Signals(-code).name}"
        return "ended"

    def close(self, grace_s: float = GRACE_S) -> None:
        """End it, with what it has started: its cells have ended."""
        end(self.process.pid, grace_s=grace_s)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # an order that never got through
                if pipe:
                    pipe.close()
