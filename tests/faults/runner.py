"""The real runner on copies of the fake framework, in a process of its own.

    python -m tests.faults.runner FOLDER OPTIONS

OPTIONS is an object of JSON; `DEFAULTS` says what may stand in it. Only what a test could not wait for differs from a
run of a user: windows are shorter, limits lower. Seconds and left-over processes of each cell go to `cells.jsonl`.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from bench import cli, launch, run, store, templates
from bench.launch import Launcher, Started
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.runner import Runner
from tests.faults.place import MARK, marked

DAEMON = "daemon-build"  # the copy that leaves one
DEFAULTS: dict[str, Any] = {
    "copies": {"a": {}, "b": {}},  # of the fake framework: environment variables of each, by its name
    "repeats": 2,
    "resume": False,
    "timeout_s": 30.0,
    "cold": False,
    "proofs": False,  # as in a run of a user; else nothing is traced, and cells that are ok are `unchecked`
    "window_s": 0.002,
    "import_timeout_s": templates.IMPORT_TIMEOUT_S,
    "fork_timeout_s": templates.FORK_TIMEOUT_S,
    "watch": False,  # write what the runner itself holds and has used, after each cell
}


def main(folder: Path, given: dict[str, Any]) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):  # the latter is ignored where the tests run in the background
        signal.signal(number, signal.default_int_handler)
    options = DEFAULTS | given
    shorten(options)
    observe(options["watch"])
    fakes = {name: copy(name, variables) for name, variables in options["copies"].items()}
    if options["resume"]:
        return cli.guard(lambda: run.resume(folder, fakes, report=False, ceilings=False, proof=options["proofs"]))
    names = ("repeats", "timeout_s", "cold")
    settings = run.Settings(
        out=folder, report=False, ceilings=False, min_time_s=0.01, proof=options["proofs"],
        **{name: options[name] for name in names},
    )  # fmt: skip
    choice = Choice(workload=("autoencoder",), precision=("fp32",))
    return cli.guard(lambda: run.run(choice, settings, fakes))


def copy(name: str, variables: dict[str, str]) -> Manifest:
    fake = read(name, "tests.fake")
    return replace(fake, environment={**fake.environment, **variables})


def shorten(options: dict[str, Any]) -> None:
    whole = Runner.request
    Runner.request = lambda *a: replace(whole(*a), window_s=options["window_s"], latency_steps=5)  # type: ignore[method-assign]
    templates.FORK_TIMEOUT_S = options["fork_timeout_s"]
    launch.Launcher.__init__.__kwdefaults__["import_timeout_s"] = options["import_timeout_s"]


def observe(watch: bool) -> None:
    """Write a line for each cell when it has ended; what that costs is not counted as the runner's."""
    whole: Callable[..., Any] = Launcher.finish
    file = Path(os.environ[MARK]) / "cells.jsonl"
    own_s = 0.0

    def observed(self: Launcher, started: Started, timeout_s: float) -> Any:
        nonlocal own_s
        begin, request = time.monotonic(), started.request
        outcome = whole(self, started, timeout_s)
        told = {"impl": request.cell.impl, "repeat": request.repeat, "seconds": time.monotonic() - begin}
        cpu_s = time.process_time()
        known = {os.getpid(), self.guard.pid, *(one.process.pid for one in self.templates.values())} | self.processes()
        left = [] if watch else names_of(marked() - known)
        if request.cell.impl != DAEMON:  # whose daemon may live as long as that cell does
            left = [name for name in left if "create_server" not in name]
        told |= {**held(), "cpu_s": cpu_s - own_s} if watch else {"left": left}
        with file.open("a") as lines:
            lines.write(json.dumps(told) + "\n")
        own_s += time.process_time() - cpu_s
        return outcome

    Launcher.finish = observed  # type: ignore[method-assign]


def names_of(pids: set[int]) -> list[str]:
    found: list[str] = []
    for pid in pids:
        with suppress(psutil.Error):
            found.append(" ".join(psutil.Process(pid).cmdline()))
    return found


def held() -> dict[str, Any]:
    """Memory, descriptors and threads of this process, and the files that it keeps."""
    return {
        "memory": psutil.Process().memory_full_info().uss,
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208  # plain names
        "threads": threading.active_count(),
        "scratch": sum(1 for _ in Path(os.environ["TMPDIR"]).rglob("*")),
        "logs": sum(1 for _ in Path(sys.argv[1]).glob(f"{store.LOGS}/*")),
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
