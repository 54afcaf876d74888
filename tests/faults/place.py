"""A place of its own for a runner that something is done to, where all that it may leave behind can be found."""

import functools
import json
import os
import re
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import store
from bench.record import Record

ROOT = Path(__file__).parents[2]
MARK = "SAMESTEP_FAULTS"  # in the environment of the runner, and so of all that comes of it
PATIENCE_S = 120.0  # until a test gives up
SIGNALS = ("env", "--default-signal=HUP,INT")  # which `nohup` and a shell's background have the tests ignore


@dataclass(kw_only=True)
class Place:
    """A folder with the run, its `$TMPDIR`, its cache and, where one may mount, its own /dev/shm."""

    root: Path

    def __post_init__(self) -> None:
        self.run, self.scratch, self.shm = (self.root / name for name in ("results/run", "tmp", "shm"))
        self.run.parent.mkdir()
        self.scratch.mkdir()
        self.shm.mkdir()
        names = ("cells.jsonl", "port", "hanging")
        self.cells_file, self.port_file, self.hanging_file = (self.root / name for name in names)
        self.shared = set(Path("/dev/shm").iterdir())

    def start(
        self, *, environment: dict[str, str] | None = None, before: Sequence[str] = (), **options: Any
    ) -> "subprocess.Popen[str]":
        """The runner, which `tests.faults.runner` says the options of."""
        own = {"TMPDIR": self.scratch, "SAMESTEP_CACHE": self.root / "cache", "PYTHONPATH": ROOT, MARK: self.root}
        own |= {"FAKE_PORT_FILE": self.port_file, "FAKE_HANGING_FILE": self.hanging_file}
        command = [sys.executable, "-m", "tests.faults.runner", str(self.run), json.dumps(options)]
        return subprocess.Popen(
            [*SIGNALS, *before, *(private_shm(self.shm) if may_mount() else ()), *command],
            env={**os.environ, **{name: str(value) for name, value in own.items()}, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, runner: "subprocess.Popen[str]") -> tuple[int, list[str]]:
        """Its exit code and what it said, once it has ended."""
        _, said = runner.communicate(timeout=PATIENCE_S)
        return runner.returncode, said.splitlines()

    def kill(self, runner: "subprocess.Popen[str]") -> None:
        runner.kill()
        runner.communicate()

    def go(self, **options: Any) -> tuple[int, list[str]]:
        return self.finish(self.start(**options))

    @property
    def records_file(self) -> Path:
        return self.run / store.RECORDS_FILE

    def records(self) -> list[Record]:
        """All of the run; every line must be whole, but for one that a dead runner tore."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return store.load(self.run).records

    def whole_lines(self) -> list[bytes]:
        """The lines of the records' file that were written to their end."""
        if not self.records_file.exists():
            return []
        return [line for line in self.records_file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def measured(self) -> dict[tuple[str, int], Record]:
        """Records of the processes that have ended, by cell and round, without what a run adds when it is judged."""
        found = [json.loads(line) for line in self.whole_lines()]
        return {
            (one["cell_id"], one["repeat"]): {n: one[n] for n in one if n not in ("parity", "drift", "absent")}
            for one in found
            if one["status"] != "ok" or one["memory_bytes"]
        }

    def holds(self, kept: dict[tuple[str, int], Record]) -> bool:
        """Whether each of some records is as it was."""
        found = self.measured()
        return all(found.get(key) == one for key, one in kept.items())

    def wait_for_records(self, count: int, runner: "subprocess.Popen[str]") -> None:
        wait_until(lambda: len(self.measured()) >= count or runner.poll() is not None)
        assert runner.poll() is None, self.finish(runner)

    def cells(self) -> list[dict[str, Any]]:
        """What `tests.faults.runner` told of each cell."""
        return [json.loads(line) for line in self.cells_file.read_text().splitlines()]

    def nothing_left(self, *, soon_s: float = 10.0) -> None:
        """No process, shared memory, open port or temporary file of the runner and of what came of it."""
        wait_until(lambda: not marked(str(self.root)), soon_s)
        new = set(self.shm.iterdir()) if may_mount() else set(Path("/dev/shm").iterdir()) - self.shared
        assert not new
        if self.port_file.exists():
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", int(self.port_file.read_text()))) != 0
        wait_until(lambda: not list(self.scratch.iterdir()), soon_s)


def marked(mark: str | None = None) -> set[int]:
    """Ids of the processes that carry the mark of a place, by default this process's own; none that have ended."""
    mark, found = mark or os.environ[MARK], set[int]()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def templates_of(place: Place) -> list[int]:
    """The templates of the place: of the processes that have their command line, those with orders to read."""
    found: list[int] = []
    for pid in sorted(marked(str(place.root))):
        try:
            if "bench.template" in psutil.Process(pid).cmdline():
                found += [pid] if str(Path(f"/proc/{pid}/fd/0").readlink()).startswith("pipe:") else []
        except (psutil.Error, OSError):
            continue
    return found


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@functools.cache
def may_mount() -> bool:
    """Whether this user may mount, in a name space of its own."""
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    return tried.returncode == 0


def private_shm(folder: Path) -> list[str]:
    """The beginning of a command whose /dev/shm is a folder: on a shared machine others use the real one."""
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /dev/shm && exec "$@"', str(folder)]


def agrees(found: Record, status: str, reason: str, tail: str | None = None) -> None:
    """The record has the status, and its reason and the log's tail match."""
    assert (found["status"], bool(re.search(reason, found["reason"] or ""))) == (status, True), found["reason"]
    if tail:
        assert re.search(tail, found["log_tail"] or ""), found["log_tail"]


def refused(ended: tuple[int, list[str]], why: str) -> None:
    """The runner ended as wrong usage does: with one line that says why, and perhaps one on how busy the machine is."""
    code, said = ended
    assert code == 2 and sum(line.startswith("bench: ") for line in said) == 1, said
    assert why in said[-1] and len(said) <= 2, said
