"""Starts a cell's processes, waits in the kernel, ends them, and reads what they wrote.

On Linux the runner makes itself the subreaper of all that it starts: a cell that a template forked, and any
grandchild that left its group, becomes the runner's own child, so that it can be found, waited for and ended.
Processes that were there before a cell are never touched.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import oom, ranks
from bench.machine import memory
from bench.manifests import Manifest
from bench.processes import become_subreaper, children, end, sweep, wait
from bench.ranks import Outcome
from bench.spec import Request
from bench.worker import LIFELINE
from bench.workloads import WORKLOADS

IMPORT_TIMEOUT_S = 300.0  # for a template to import its framework
TAIL_LINES, TAIL_BYTES = 20, 4000


@dataclass(kw_only=True)
class Template:
    """A process that has imported a framework and forks cells."""

    process: subprocess.Popen[bytes]

    def fork(self, request_file: Path, package: str, log: Path) -> int:
        """Process id of a new cell, which runs the code of `package`.

        Raises:
            OSError: the template is gone.
        """
        assert self.process.stdin is not None
        order = json.dumps({"request": str(request_file), "package": package, "log": str(log)})
        self.process.stdin.write(order.encode() + b"\n")
        self.process.stdin.flush()
        return int(self.answer(10.0)["pid"])

    def answer(self, timeout_s: float) -> dict[str, Any]:
        """The next line that it writes.

        Raises:
            OSError: it ended or took too long.
        """
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        line = self.process.stdout.readline() if readable else b""
        if not line:
            raise OSError(f"the template process {self.end()}" if readable else "the template process does not answer")
        return json.loads(line)

    def end(self) -> str:
        """How it ended, which it has, or is about to."""
        try:
            code = self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            code = 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else "ended"

    def close(self) -> None:
        """End it at once: it holds nothing, and its cells have ended."""
        self.process.kill()
        self.process.communicate()


class Launcher:
    """Runs requests; holds the templates and a scratch folder until it is closed.

    Cells may run side by side, each from a thread of its own: for proofs, where nothing is timed. A process has one
    launcher at a time, as what a cell left behind is found among the runner's children.
    """

    def __init__(self, manifests: Mapping[str, Manifest], *, cold: bool) -> None:
        self.manifests = manifests
        self.cold = cold or not become_subreaper()
        self.scratch = Path(tempfile.mkdtemp(prefix="samestep-"))
        self.templates: dict[tuple[str, ...], Template] = {}
        self.running: set[int] = set()
        self.stopped = False
        self.lock = threading.Lock()
        self.lifeline_read, self.lifeline_write = os.pipe()  # no child inherits the write end

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(self, *_: object) -> None:
        for template in self.templates.values():
            template.close()
        os.close(self.lifeline_read)
        os.close(self.lifeline_write)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def run(self, request: Request, timeout_s: float, log: Path, instead: Manifest | None = None) -> Outcome:
        """Run one cell to its end, however it ends; nothing of it is left running.

        The code that it runs is that of `instead`, if that is given, where else that of its own implementation.
        """
        manifest = instead or self.manifests[request.cell.impl]
        requests = ranks.requests(request, manifest.processes(request.cell))
        files = [write_request(one) for one in requests]
        pids: list[int] = []
        before, earlier = children() - self.running, oom.Before.of(log)
        try:
            with self.lock:
                if self.stopped:
                    raise InterruptedError("the runner was interrupted")
                for one, file in zip(requests, files, strict=True):
                    pids.append(self._start(one, manifest, file, log))
                    self.running.add(pids[-1])
            outcome = ranks.joined(finish(pids, timeout_s, [file.parent for file in files]))
        except OSError as error:
            outcome = Outcome.failed("crashed", str(error))
        finally:
            with self.lock:
                self.running -= set(pids)
                sweep(before | self.running | {template.process.pid for template in self.templates.values()})
        if not outcome.ok:
            outcome = oom.explained(outcome, earlier, log)
            outcome.fields["log_tail"] = tail(log)
        return outcome

    def processes(self) -> set[int]:
        """Ids of the processes of all cells that run now."""
        found: set[int] = set(self.running)
        for pid in self.running.copy():
            with contextlib.suppress(psutil.NoSuchProcess):
                found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
        return found

    def stop(self) -> None:
        """End the cells that are running, so that the threads which wait for them go on; no other will start."""
        self.stopped = True
        with self.lock:
            end(*self.running)

    def _start(self, request: Request, manifest: Manifest, request_file: Path, log: Path) -> int:
        variables = manifest.variables(request)
        if self.cold:
            process = self._popen(["bench.worker", str(request_file), manifest.package], variables, log)
            process.returncode = 0  # reaped by `finish`, like a forked cell, so not by this object
            return process.pid
        key = (manifest.name, *(f"{name}={value}" for name, value in sorted(variables.items())))
        if key in self.templates and self.templates[key].process.poll() is not None:
            self.templates.pop(key).close()
        if key not in self.templates:
            self.templates[key] = self._start_template(manifest, variables, log)
        return self.templates[key].fork(request_file, manifest.package, log)

    def _start_template(self, manifest: Manifest, variables: Mapping[str, str], log: Path) -> Template:
        workloads = [f"{manifest.package}.{name}" for name in WORKLOADS if manifest.has(name)]
        modules = [*manifest.preload, *workloads, "bench.workloads", "bench.measure"]
        template = Template(process=self._popen(["bench.template", manifest.package, *modules], variables, log, True))
        try:
            template.answer(IMPORT_TIMEOUT_S)
        except OSError as error:
            template.close()
            raise OSError(f"{error} while it imported {manifest.module}") from error
        return template

    def _popen(
        self, module: list[str], variables: Mapping[str, str], log: Path, piped: bool = False
    ) -> "subprocess.Popen[bytes]":
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        own = {"PYTHONPATH": path, LIFELINE: str(self.lifeline_read)}
        numpy_alone = {"OPENBLAS_NUM_THREADS": "1"}  # numpy makes inputs, unmeasured: no thread pool of its own
        pipe = subprocess.PIPE if piped else None
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", *module],
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or output,
                stderr=output,
                env={**os.environ, **numpy_alone, **own, **variables},
                pass_fds=[self.lifeline_read],
                start_new_session=True,
            )


def write_request(request: Request) -> Path:
    """The file that a process reads its request from, in the request's folder."""
    folder = Path(request.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").unlink(missing_ok=True)  # of another request that had the same folder
    file = folder / "request.json"
    file.write_text(request.to_json())
    return file


def finish(pids: Sequence[int], timeout_s: float, folders: Sequence[Path]) -> list[Outcome]:
    """Wait for the processes of a cell, and read their records; by rank.

    When one fails, the others, which would wait for it, are ended. All are ended at the timeout.
    """
    found: dict[int, Outcome] = {}
    deadline = time.monotonic() + timeout_s
    while len(found) < len(pids):
        left = [pid for pid in pids if pid not in found]
        ended = wait(left, deadline - time.monotonic())
        found |= {pid: read_outcome(pid, folders[pids.index(pid)]) for pid in ended}
        late = None if ended else Outcome.failed("timeout", f"the cell took longer than {timeout_s:g} s")
        if late or not all(outcome.ok for outcome in found.values()):
            rest = [pid for pid in left if pid not in ended]
            end(*rest)
            told = {pid: read_record(folders[pids.index(pid)]) for pid in rest}
            given_up = Outcome.failed("killed", ranks.ENDED)
            found |= {pid: late or (given_up if one is None or one.ok else one) for pid, one in told.items()}
    return [found[pid] for pid in pids]


def read_outcome(pid: int, folder: Path) -> Outcome:
    """What a process that has ended left behind."""
    limit = memory.limit_of(Path("/proc") / str(pid))
    _, status, used = os.wait4(pid, 0)
    if told := read_record(folder):
        return told
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return oom.ended(name, limit, used.ru_maxrss * 1024)
    return Outcome.failed("crashed", f"the cell ended with exit code {os.WEXITSTATUS(status)} and wrote no record")


def read_record(folder: Path) -> Outcome | None:
    """What a process wrote, if it did."""
    file = folder / "record.json"
    return Outcome(**json.loads(file.read_text())) if file.exists() else None


def tail(log: Path) -> str | None:
    """The last lines of a log, as text."""
    if not log.exists():
        return None
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-TAIL_LINES:]) or None
