"""The runner's end of a live cell: see `bench.calls`."""

import json
import math
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import waits
from bench.calls import ANSWERS, END, ORDERS, VISIT
from bench.handover import RECORD_BYTES
from bench.launch import Launcher, Started, too_much
from bench.plan import Job
from bench.processes import cpu_s, wait
from bench.ranks import Outcome
from bench.spec import Request
from bench.waits import Wait

IDLE = ("idle_s", "idle_cpu_s")  # parts of a window that the runner adds
LOOK_S = 1.0  # between looks at a process that ended before it opened its end: no pipe tells of that


class Ended(Exception):
    """The process ended instead of answering."""


@dataclass(kw_only=True)
class Line:
    """The runner's end: an order out, an answer back."""

    orders: int
    answers: int
    received: bytes = b""
    closed: bool = False

    @classmethod
    def open(cls, folder: Path) -> "Line":
        """Make the pipes of a request that has not started; raises OSError where the folder can have none."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in (ORDERS, ANSWERS):
            os.mkfifo(folder / name)
        answers = os.open(folder / ANSWERS, os.O_RDONLY | os.O_NONBLOCK)
        return cls(orders=os.open(folder / ORDERS, os.O_RDWR), answers=answers)  # both ways, as nobody reads it yet

    def close(self) -> None:
        """Close both ends; nothing happens a second time."""
        if not self.closed:
            self.closed = True
            os.close(self.orders)
            os.close(self.answers)

    def order(self, order: bytes) -> None:
        os.write(self.orders, order)

    def answer(self, pid: int, timeout_s: float, look: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The next answer of a process; `look` is called now and then, and may raise.

        Raises:
            Ended: the process ended.
            TimeoutError: it did not answer in time.
            ValueError: what it wrote is no answer.
        """
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self.received:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            readable, _, _ = select.select([self.answers], [], [], min(LOOK_S, left_s))
            look()
            if readable and (more := os.read(self.answers, 1 << 16)):
                self.received += more
                if len(self.received) > RECORD_BYTES:
                    raise ValueError(f"an answer of more than {RECORD_BYTES >> 20} MiB")
            elif wait([pid], 0.0):
                raise Ended
            elif readable:  # it has closed its end, or not opened it yet
                time.sleep(0.001)
        line, _, self.received = self.received.partition(b"\n")
        return json.loads(line)


@dataclass(kw_only=True)
class LiveCell:
    """One process of a cell that is alive: what it told so far, and what it costs."""

    job: Job
    request: Request
    started: Started
    line: Line
    launcher: Launcher
    timeout_s: float  # for all that it does; while others have their turn its clock stands still
    begun_at: float  # by the clock of windows
    spent_s: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict[str, Any])  # of its record, once it is warm
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    window_s: float = 0.0  # about as long as its windows last
    visits: int = 0  # that are planned
    windows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    outcome: Outcome | None = None  # how it ended
    idle_since: float = 0.0
    idle_cpu_from: float | None = None

    @property
    def pid(self) -> int:
        return self.started.pids[0]

    @property
    def visits_left(self) -> int:
        """How many are planned still; one more where the windows turned out shorter than was planned with."""
        short = sum(window["seconds"] for window in self.windows) < self.request.min_time_s
        return max(self.visits - len(self.windows), int(short))

    def warm_up(self) -> bool:
        """Wait until it is warm and knows how long its windows are; whether it lived to tell."""
        if (told := self._answer(fields=dict, reasons=dict)) and (lasting := self._answer(window_s=float)):
            self.fields, self.reasons, self.window_s = told["fields"], told["reasons"], lasting["window_s"]
            self._rest()
        return self.outcome is None

    def visit(self) -> bool:
        """Have it time one window; whether it lived to tell."""
        idle = {"idle_s": time.perf_counter() - self.idle_since, "idle_cpu_s": self._used_since_rest()}
        self.line.order(VISIT)
        if window := self._answer(steps=int, seconds=float, rewait_s=float, control_s=float):
            self.windows.append(window | idle)
            self._rest()
        return self.outcome is None

    def so_far(self) -> Outcome:
        """What is known of it while it is alive."""
        fields = self.fields | {
            "windows": [dict(window) for window in self.windows],
            "sync_check": waits.summary([Wait.of(window) for window in self.windows]),
            "visits": self.visits,
        }
        return Outcome(fields=fields, reasons=dict(self.reasons), begun_at=self.begun_at)

    def end(self) -> Outcome:
        """Have it take the rest of its measurements and end; how it ended, if it has already."""
        if self.outcome is None:
            self.line.order(END)
            self._ended()
        assert self.outcome
        if self.outcome.ok:
            self.outcome = self._with_idle(self.outcome)
        return self.outcome

    def _with_idle(self, outcome: Outcome) -> Outcome:
        """The outcome, in whose windows stands what only the runner knows; they must be those that it was told."""
        told: Any = outcome.fields.get("windows")
        own = [{name: window[name] for name in window if name not in IDLE} for window in self.windows]
        if told != own or not own:
            return Outcome.failed("crashed", "the cell wrote a record that has other windows than it told")
        outcome.fields |= {"windows": [dict(window) for window in self.windows], "visits": len(self.windows)}
        return outcome

    def abandon(self) -> None:
        """End it at once."""
        self.launcher.abandon(self.started)
        self.line.close()

    def _used_since_rest(self) -> float | None:
        used_s = cpu_s(self.pid)
        return None if used_s is None or self.idle_cpu_from is None else used_s - self.idle_cpu_from

    def _rest(self) -> None:
        self.idle_since, self.idle_cpu_from = time.perf_counter(), cpu_s(self.pid)

    def _answer(self, **kinds: type) -> dict[str, Any] | None:
        """Its next answer, an object with these parts of these kinds; None if it has ended instead."""
        if self.started.fault:
            self._ended()
            return None
        begun_s = time.monotonic()
        try:
            told: Any = self.line.answer(self.pid, self.timeout_s - self.spent_s, self._look)
            if not isinstance(told, dict) or any(type(told.get(name)) is not kind for name, kind in kinds.items()):  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
                raise ValueError("it lacks what is to be in it")
            return told  # pyright: ignore[reportUnknownVariableType]
        except Ended:
            pass
        except TimeoutError:
            self.started.fault = Outcome.failed("timeout", f"the cell took longer than {self.timeout_s:g} s")
        except (OSError, ValueError) as error:
            self.started.fault = Outcome.failed("crashed", f"the cell wrote what is no answer: {error}")
        finally:
            self.spent_s += time.monotonic() - begun_s
        self._ended()
        return None

    def _look(self) -> None:
        if flooded := too_much(math.inf, self.timeout_s, self.started.log):
            self.started.fault = flooded
            raise Ended

    def _ended(self) -> None:
        self.outcome = replace(
            self.launcher.finish(self.started, self.timeout_s - self.spent_s), begun_at=self.begun_at
        )
        self.line.close()


def begin(launcher: Launcher, job: Job, request: Request, timeout_s: float, log: Path) -> LiveCell:
    """Start a process of a cell that will wait to be called.

    Raises:
        OSError: its folder can hold no pipes.
    """
    line = Line.open(Path(request.folder))
    begun_at = time.perf_counter()
    started = launcher.start(request, log)
    return LiveCell(
        job=job, request=request, started=started, line=line, launcher=launcher, timeout_s=timeout_s, begun_at=begun_at
    )
