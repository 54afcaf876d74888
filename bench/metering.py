"""The runner's side of `bench.sampler`: the joules of cells, and the power of the machine while nothing computes."""

import importlib.util
import json
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.machine import energy
from bench.machine.energy import LEAST_S, Reading, Span
from bench.processes import GRACE_S, end, next_line
from bench.ranks import Outcome
from bench.spec import Cell

NO_LIBRARY = "zeus is not installed: pip install 'samestep[energy]'"
# Where zeus 0.16 looks for RAPL's zones; without one no process is started to find that out
RAPL = (Path("/sys/class/powercap/intel-rapl"), Path("/zeus_sys/class/powercap/intel-rapl"))
NO_RAPL = "the processor tells no energy (no RAPL in /sys/class/powercap), as in most virtual machines"
NO_CELL = "no cell of the run can be measured here"
# Limits against a sampler that hangs, not expectations: past them the run goes on without energy, with the reason.
START_S = 60.0  # to import zeus and start a vendor's library, which takes seconds
ANSWER_S = 60.0  # to write readings, which takes milliseconds, on a busy machine more
IDLE_S = 1.0  # over which idle power is taken: ten steps of the slowest counter that is known
SETTLE_S = 0.3  # for the counters to move before and after what is measured: three such steps
LEAD_S = 1.0  # of readings before a cell began, for one whose windows begin at once: ten such steps

Start = Callable[[str], "subprocess.Popen[bytes]"]  # platform -> the sampler's process


@dataclass(kw_only=True)
class Meter:
    """Counters of energy that are read in another process, or why there are none."""

    reason: str | None = "nothing reads counters of energy here"  # why there is no number, of any cell
    source: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    idle: Sequence[Reading] = ()
    idle_span: Span = (0.0, 0.0)

    def counts(self, cell: Cell) -> bool:
        """Whether the energy of a cell can be told, so that its steady state has to last long enough."""
        return self.reason is None and not cell.emulated

    def readings(self, since: float) -> Sequence[Reading]:
        """What the counters showed since some time, and shortly before it.

        Nothing, and of no later cell either, once the sampler does not answer.
        """
        if self.reason:
            return ()
        time.sleep(SETTLE_S)  # so that the counters have moved since the last window ended
        try:
            return [(at_s, values) for at_s, values in self._ask(since - LEAD_S)["readings"]]
        except OSError as error:
            self.reason = f"the process that reads the counters of energy {error}"
            return ()

    def energy(self, cell: Cell, outcome: Outcome) -> tuple[dict[str, Any] | None, dict[str, str]]:
        """A record's `energy_j` of a cell whose windows are by this machine's clock, and reasons for what is null."""
        if not outcome.ok:
            return None, {}  # its status is the reason
        try:
            places = self._places(cell, outcome)
            spans = [(one["begin_s"], one["begin_s"] + one["seconds"]) for one in outcome.fields["windows"]]
            total = energy.spent(outcome.joules, spans, places)
        except OSError as error:
            return None, {"energy_j": str(error)}
        found: dict[str, Any] = {"total": total, "source": self.source}
        try:
            found["idle_w"] = energy.spent(self.idle, [self.idle_span], places) / IDLE_S
        except OSError as error:
            return found, {"energy_j.idle_w": str(error)}
        return found, {}

    def settle(self) -> None:
        """Wait until the sampler reads, and take idle power; or learn why there is nothing to read."""
        assert self.process
        try:
            told = answer(self.process, START_S)
        except OSError as error:
            told = {"source": "", "reason": f"the process that reads the counters of energy {error}"}
        self.source, self.reason = told["source"], told["reason"]
        if self.reason is None:
            begun = time.perf_counter()
            self.idle_span = begun + SETTLE_S, begun + SETTLE_S + IDLE_S
            time.sleep(SETTLE_S + IDLE_S)
            self.idle = self.readings(begun)

    def close(self) -> None:
        """End the sampler, which ends what it has started, and reap all of it."""
        if self.process is None:
            return
        own = list[psutil.Process]()
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.process.pid).children(recursive=True)
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_S)
        end(self.process.pid)
        self.process.wait()
        _, alive = psutil.wait_procs(own, GRACE_S)
        for one in alive:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(alive, GRACE_S)

    def _places(self, cell: Cell, outcome: Outcome) -> Sequence[int]:
        """Which counters are the cell's; raises OSError where there are none."""
        if self.reason:
            raise OSError(self.reason)
        if cell.emulated:
            raise OSError("emulated devices take too few steps for a counter of energy")
        lasted = sum(one["seconds"] for one in outcome.fields["windows"])
        if lasted < LEAST_S:
            raise OSError(f"windows of {lasted:.2g} s in all are too short for a counter: {LEAST_S:g} s are needed")
        if not outcome.joules:
            raise OSError("the counters of energy were not read while windows ran")
        return range(len(outcome.joules[0][1]) if cell.platform == "cpu" else cell.devices)

    def _ask(self, since: float) -> dict[str, Any]:
        """Raises OSError that says how the sampler failed."""
        assert self.process and self.process.stdin
        try:
            self.process.stdin.write(f"{since!r}\n".encode())
            self.process.stdin.flush()
        except OSError:
            raise OSError("has ended") from None
        return answer(self.process, ANSWER_S)


@contextmanager
def started(start: Start, cells: Sequence[Cell]) -> Generator[Meter]:
    """The counters of the platform that some cells run on; idle power is taken before anything computes."""
    meter = begin(start, cells)
    try:
        yield meter
    finally:
        meter.close()


def begin(start: Start, cells: Sequence[Cell]) -> Meter:
    if not cells:
        return Meter(reason=NO_CELL)
    if importlib.util.find_spec("zeus") is None:
        return Meter(reason=NO_LIBRARY)
    platform = cells[0].platform  # a run has one
    if platform == "cpu" and not any(path.exists() for path in RAPL):
        return Meter(reason=NO_RAPL)
    meter = Meter(reason=None, process=start(platform))
    try:
        meter.settle()
    except BaseException:  # an interrupt while it waits
        meter.close()
        raise
    return meter


def answer(process: "subprocess.Popen[bytes]", timeout_s: float) -> dict[str, Any]:
    """The next line that the sampler writes; raises OSError that says how it failed."""
    line = next_line(process, timeout_s)
    if not line:
        raise OSError("has ended")
    return json.loads(line)
