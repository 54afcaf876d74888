"""Starts a cell's processes, waits in the kernel, ends them, and reads what they wrote.

On Linux the runner makes itself the subreaper of all that it starts: a cell that a template forked, and any
grandchild that left its group, becomes the runner's own child, so that it can be found, waited for and ended.
Processes that were there before a cell are never touched.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import handover, oom, ranks, scratch
from bench.guard import MARK
from bench.handover import LOG_BYTES, read_outcome, read_record
from bench.interpreters import OWN_INTERPRETER, Interpreter
from bench.manifests import Manifest
from bench.processes import become_subreaper, children, end, sweep, wait
from bench.ranks import Outcome
from bench.spec import Request
from bench.templates import IMPORT_TIMEOUT_S, Template
from bench.worker import LIFELINE
from bench.workloads import WORKLOADS

GUARD_S = 30.0  # for the guard to end once all is done
LOOK_S = 1.0  # between looks at the size of a log, while a cell runs

Key = tuple[str, ...]  # of a template: the framework's name, its Python, and the variables in its environment


@dataclass(kw_only=True)
class Started:
    """A cell whose processes were started, or could not be."""

    request: Request
    log: Path
    before: set[int]  # the runner's children that are none of its
    earlier: oom.Before
    pids: list[int] = field(default_factory=list[int])  # by rank
    folders: list[Path] = field(default_factory=list[Path])
    fault: Outcome | None = None  # why they could not be


class Launcher:
    """Runs requests; holds the templates and a scratch folder until it is closed.

    Cells may run side by side, each from a thread of its own: for proofs, where nothing is timed. A process has one
    launcher at a time, as what a cell left behind is found among the runner's children.
    """

    def __init__(
        self, manifests: Mapping[str, Manifest], *, cold: bool, import_timeout_s: float = IMPORT_TIMEOUT_S
    ) -> None:
        self.manifests = manifests
        self.cold = cold or not become_subreaper()
        self.import_timeout_s = import_timeout_s
        scratch.remove_dead()
        self.scratch, self.held = scratch.make()
        self.templates: dict[Key, Template] = {}
        self.too_slow: dict[Key, TimeoutError] = {}  # imports that are not tried again, as each would take its limit
        self.running: set[int] = set()
        self.stopped = False
        self.lock = threading.Lock()
        self.lifeline_read, self.lifeline_write = os.pipe()  # no child inherits the write end
        self.guard = self._popen(["bench.guard", str(self.lifeline_read), str(self.scratch)], {})

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(self, *_: object) -> None:
        """End all; if even this is interrupted, the guard does it once the runner has ended."""
        for template in self.templates.values():
            template.close()
        os.close(self.lifeline_write)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.guard.wait(GUARD_S)
        self.guard.kill()
        self.guard.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)  # for the guard, if someone has ended that
        os.close(self.lifeline_read)
        os.close(self.held)

    def run(self, request: Request, timeout_s: float, log: Path, instead: Manifest | None = None) -> Outcome:
        """Run one cell to its end, however it ends; nothing of it is left running.

        The code that it runs is that of `instead`, if that is given, where else that of its own implementation.
        """
        started = self.start(request, log, instead)
        try:
            return self.finish(started, timeout_s)
        except BaseException:
            self.abandon(started)
            raise

    def start(self, request: Request, log: Path, instead: Manifest | None = None) -> Started:
        """Start the processes of a cell, or say why they cannot be started."""
        manifest = instead or self.manifests[request.cell.impl]
        requests = ranks.requests(request, manifest.processes(request.cell))
        started = Started(request=request, log=log, before=children() - self.running, earlier=oom.Before.of(log))
        try:
            files = [handover.write_request(one) for one in requests]
            started.folders = [file.parent for file in files]
            with self.lock:
                for one, file in zip(requests, files, strict=True):
                    started.pids.append(self._start(one, manifest, file, log, started.before))
                    self.running.add(started.pids[-1])
        except TimeoutError as error:
            started.fault = Outcome.failed("timeout", str(error))
        except OSError as error:
            started.fault = Outcome.failed("crashed", str(error))
        except BaseException:
            self.abandon(started)
            raise
        return started

    def finish(self, started: Started, timeout_s: float) -> Outcome:
        """Wait for the end of a cell, of which nothing is left running; what it wrote, or how it failed."""
        try:
            told = started.fault or ranks.joined(finish(started.pids, timeout_s, started.folders, started.log))
        except (LookupError, TypeError, ValueError) as error:  # of what ranks wrote and what does not fit together
            told = Outcome.failed("crashed", f"the cell wrote records that make no sense: {error!r}")
        except OSError as error:
            told = Outcome.failed("crashed", str(error))
        self.abandon(started)
        handover.trim(started.log)
        if not told.ok:
            told = oom.explained(told, started.earlier, started.log)
            told.fields["log_tail"] = handover.tail(started.log)
        return told

    def abandon(self, started: Started) -> None:
        """End what is left of a cell."""
        with self.lock:
            self.running -= set(started.pids)
            self._sweep(started.before)

    def start_sampler(self, platform: str) -> "subprocess.Popen[bytes]":
        """A process that reads counters of energy; to be started before any cell, so that none is taken for its own."""
        return self._popen(["bench.sampler", platform], {}, self.scratch / "sampler.log", piped=True)

    def processes(self) -> set[int]:
        """Ids of the processes of all cells that run now."""
        return with_descendants(self.running.copy())

    def stop(self) -> None:
        """End the cells that are running, so that the threads which wait for them go on; no other will start."""
        self.stopped = True
        for template in list(self.templates.values()):  # the lock is held by who waits for its import
            template.process.kill()
        with self.lock:
            end(*self.running)

    def _sweep(self, before: set[int]) -> None:
        sweep(before | self.running | {template.process.pid for template in self.templates.values()})

    def _start(self, request: Request, manifest: Manifest, request_file: Path, log: Path, before: set[int]) -> int:
        """Process id of a new process of a cell.

        Raises:
            TimeoutError: its framework takes too long to import.
            OSError: it cannot be started.
        """
        variables = manifest.variables(request)
        own = {"TMPDIR": str(handover.temporary(request_file.parent))} | variables
        if self.stopped:
            raise InterruptedError("the runner was interrupted")
        if self.cold or request.cell.platform != "cpu":  # no accelerator's driver may outlive a cell in a template
            words = ["bench.worker", str(request_file), manifest.package]
            process = self._popen(words, own, log, interpreter=manifest.interpreter, package=manifest.package)
            process.returncode = 0  # reaped by `finish`, like a forked cell, so not by this object
            return process.pid
        key = (
            manifest.name,
            manifest.interpreter.path,
            *(f"{name}={value}" for name, value in sorted(variables.items())),
        )
        try:
            return self._template(key, manifest, variables, log).fork(request_file, manifest.package, log, own)
        except OSError:
            if key not in self.templates or self.stopped:
                raise
        self.templates.pop(key).close(grace_s=0.0)  # it was killed, or stopped: another one may do
        self._sweep(before)  # what it may have forked after all
        return self._template(key, manifest, variables, log).fork(request_file, manifest.package, log, own)

    def _template(self, key: Key, manifest: Manifest, variables: Mapping[str, str], log: Path) -> Template:
        """The template that there is, or a new one."""
        if key in self.too_slow:
            raise self.too_slow[key]
        if key in self.templates and self.templates[key].ended:
            self.templates.pop(key).close()
        if key not in self.templates:
            workloads = [f"{manifest.package}.{name}" for name in WORKLOADS if manifest.has(name)]
            modules = [*manifest.preload, *workloads, "bench.workloads", "bench.measure"]
            own = {"TMPDIR": str(self.scratch), **variables}
            words = ["bench.template", manifest.package, *modules]
            python = manifest.interpreter
            process = self._popen(words, own, log, piped=True, interpreter=python, package=manifest.package)
            template = self.templates[key] = Template(process=process)
            try:
                template.wait_until_ready(self.import_timeout_s, manifest.module)
            except OSError as error:
                self.templates.pop(key).close()
                if isinstance(error, TimeoutError):
                    self.too_slow[key] = error
                raise
        return self.templates[key]

    def _popen(
        self,
        module: list[str],
        variables: Mapping[str, str],
        log: Path | None = None,
        piped: bool = False,
        interpreter: Interpreter = OWN_INTERPRETER,
        package: str = "bench",
    ) -> "subprocess.Popen[bytes]":
        """A new interpreter in a session of its own, which can tell when the runner ends; without a log the guard."""
        own = {"PYTHONPATH": self._path(interpreter, package), LIFELINE: str(self.lifeline_read)}
        numpy_alone = {"OPENBLAS_NUM_THREADS": "1"}  # numpy makes inputs, unmeasured: no thread pool of its own
        mark = {MARK: str(self.scratch)} if log else {}
        pipe = subprocess.PIPE if piped else None
        with (log or Path(os.devnull)).open("ab") as output:
            return subprocess.Popen(
                [interpreter.path, "-P", "-m", *module],
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or output,
                stderr=output,
                env={**os.environ, **numpy_alone, **own, **mark, **variables},
                pass_fds=[self.lifeline_read],
                start_new_session=True,
            )

    def _path(self, interpreter: Interpreter, package: str) -> str:
        """Where an interpreter finds the code of cells.

        The runner's own looks where the runner does. Another one must not see what is installed there for the runner:
        it gets a folder with links to this package and to the implementation's alone.
        """
        root = Path(__file__).parents[1]
        if interpreter.is_own:
            return os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
        code = self.scratch / "code"
        code.mkdir(exist_ok=True)
        for name in {"bench", package.split(".")[0]}:
            spec = importlib.util.find_spec(name)
            places = list(spec.submodule_search_locations or ()) if spec else []
            if places and not (code / name).exists():
                (code / name).symlink_to(places[0], target_is_directory=True)
        return str(code)


def with_descendants(pids: Collection[int]) -> set[int]:
    """Ids of some processes and of all that they have started."""
    found = set(pids)
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return found


def finish(pids: Sequence[int], timeout_s: float, folders: Sequence[Path], log: Path) -> list[Outcome]:
    """Wait for the processes of a cell, and read their records; by rank.

    When one fails, the others, which would wait for it, are ended. All are ended at the timeout, or when they have
    written too much to their log.
    """
    found: dict[int, Outcome] = {}
    deadline = time.monotonic() + timeout_s
    while len(found) < len(pids):
        left = [pid for pid in pids if pid not in found]
        ended = wait(left, min(LOOK_S, deadline - time.monotonic()))
        found |= {pid: read_outcome(pid, folders[pids.index(pid)]) for pid in ended}
        over = None if ended else too_much(deadline, timeout_s, log)
        if over or not all(outcome.ok for outcome in found.values()):
            rest = [pid for pid in left if pid not in ended]
            end(*rest)
            told = {pid: read_record(folders[pids.index(pid)]) for pid in rest}
            given_up = Outcome.failed("killed", ranks.ENDED)
            found |= {pid: over or (given_up if one is None or one.ok else one) for pid, one in told.items()}
    return [found[pid] for pid in pids]


def too_much(deadline: float, timeout_s: float, log: Path) -> Outcome | None:
    """How a cell ends that still runs, or None while it may go on."""
    if time.monotonic() >= deadline:
        return Outcome.failed("timeout", f"the cell took longer than {timeout_s:g} s")
    if handover.size(log) > LOG_BYTES:
        return Outcome.failed("crashed", f"the cell wrote more than {LOG_BYTES >> 20} MiB to its log and was ended")
    return None
