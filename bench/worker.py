"""The measured process: runs one request and writes what came back. Needs numpy and one framework.

    python -m bench.worker REQUEST.json PACKAGE

It ends when the runner does: the runner holds the only write end of the pipe whose number is in `SAMESTEP_LIFELINE`.
"""

import ctypes
import importlib
import json
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import failures
from bench.examine import Found, describe, measured_memory, probe_precision, save_state, test_kernels
from bench.feed import prefetched
from bench.machine import environment, memory
from bench.machine.memory import HostMemory
from bench.precision import GROWTH_INTERVAL, stored

if TYPE_CHECKING:
    from bench.measure import Training
    from bench.spec import Request

    Feed = Callable[[int], Any]

LIFELINE = "SAMESTEP_LIFELINE"
RING = 8  # batches that the steady state cycles through
SETTLED = 20  # steps in a row without overflow, after which a loss scale counts as settled
SETTLING = 200  # steps that this may take


def main(request: str, package: str) -> None:
    follow_runner()
    run_cell(Path(request), package, "cold")


def import_impl(package: str) -> float:
    """Import the framework and the implementation's backend; returns the seconds it took."""
    start = time.perf_counter()
    importlib.import_module(f"{package}.backend")
    return time.perf_counter() - start


def follow_runner() -> None:
    """End this process when the runner's end of the lifeline closes, however the runner ended."""
    lifeline = int(os.environ[LIFELINE])

    def watch() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":  # in case native code holds the interpreter for good
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def run_cell(path: Path, package: str, start: str, import_s: float | None = None) -> None:
    """Run the request and write `record.json` in its folder, whole or not at all; failures are words in it."""
    from bench.spec import Request

    memory.be_first_choice()
    request = Request.from_json(path.read_text())
    found = Found(fields={"start": start, "status": "ok", "phases_s": {}})
    try:
        found.fields["phases_s"]["import"] = import_impl(package) if import_s is None else import_s
        train(request, package, found)
    except Exception as error:  # every failure of a cell is a status, never the end of the run
        traceback.print_exc()
        found.fields["status"] = failures.status_of(error, request.cell.precision, found.phase)
        found.fields["reason"] = failures.reason_of(error, found.phase)
    part = Path(request.folder) / "record.part"
    part.write_text(json.dumps({"fields": found.fields, "reasons": found.reasons, "told_at": time.monotonic()}))
    part.rename(part.with_name("record.json"))


def train(request: "Request", package: str, found: Found) -> None:
    """Build, warm up, then measure or export the final state; fills `found`."""
    from bench import calls, ceilings, exchange, measure
    from bench.waits import Caches

    backend = importlib.import_module(f"{package}.backend")
    code = importlib.import_module(f"{package}.{request.cell.workload}")
    if request.cpus:
        bind(request.cpus)  # before the runtime starts: its thread pools follow it
    if request.cell.engine == "distributed" and request.cell.nodes == 1:
        os.environ |= environment.within_the_machine()
    if request.cache:
        Path(request.cache).mkdir(parents=True, exist_ok=True)
        found.fields["compile_cache"] = "warm" if any(Path(request.cache).iterdir()) else "cold"
    if request.task == "kernels":
        found.fields["kernels"] = test_kernels(request, backend, code)
        return
    if request.task == ceilings.TASK:
        with found.timed("ceilings"):
            own = importlib.import_module(f"{package}.ceilings")
            found.fields["ceilings"] = ceilings.measured(request, backend, own)
        return
    caches = Caches() if request.task == "measure" else None  # before memory is counted
    host = HostMemory(beside=request.ranks > 1)
    host.begin()
    training, batch = start_training(request, backend, code, found, host)
    settle = request.task == "measure" and request.cell.precision == "fp16"
    with found.timed("warm-up"):
        warm_up(training, request.steps, SETTLED if settle else 0, backend, found)
    visits = calls.open_pipes(Path(request.folder)) if found.fields["status"] == "ok" else None
    if request.task == "trace":
        save_state(request, code, training.state)
    elif found.fields["status"] == "ok":
        feeding = steady_feed(request, backend, batch, training.done)
        with found.timed("steady state"), feeding as training.feed, measured_memory(backend, host, found):
            if visits:
                so_far = found.copied()
                describe(training, backend, code, so_far, package)
                visits.tell({"fields": so_far.fields, "reasons": so_far.reasons})
            before = training.done
            training.peek(training.state, training.losses)  # the first reading sets up what the others only use
            found.fields |= measure.steady_state(training, request, visits, caches=caches)
        check_updates(training, backend, found, before)
    look_at(training, backend, found)
    describe(training, backend, code, found, package)
    well = all(ok for (ok,) in training.gather([found.fields["status"] == "ok"]))
    if exchange.is_measured(request) and well:  # together or not at all
        with found.timed("communication"):
            found.fields["communication"] = exchange.measured(training, request, backend, code)
    if request.task == "measure" and request.rank == 0 and (request.repeat == 0 or not visits):
        with found.timed("precision probes"):
            probe_precision(request, importlib.import_module(f"{package}.probe"), found)


def bind(cpus: Sequence[int]) -> None:
    """Have this process run on some cores alone, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)


def start_training(
    request: "Request", backend: Any, code: Any, found: Found, host: HostMemory | None = None
) -> "tuple[Training, Feed]":
    """Start the runtime, build, run the first step: the phases `init` and `compile`; `host` is told where each ends."""
    import numpy as np

    from bench import measure, workloads
    from bench.data.draw import init_params

    host, cell = host or HostMemory(), request.cell
    workload = workloads.get(cell.workload, cell.size, cell.batch_per_device)
    params = cast(init_params(workload, cell.seed), cell.precision)
    witness = list(params)[-1]  # updated last in a step, so that reading it waits for all of it

    def batch(step: int) -> dict[str, Any]:
        return cast(workload.batch_at(step, cell.seed, *request.samples), cell.precision)

    def peek(state: Any, losses: Any) -> None:
        last = code.export(state, (witness,), request.devices - 1)
        for found in (backend.read(losses), last):
            for value in found.values():
                np.asarray(value)  # what only promises to become an array has not waited yet

    arrays = batch(0)
    with found.timed("init"):
        backend.configure(request)
        devices = backend.devices()
        first = backend.put(arrays)
        backend.sync(first)
    host.mark()
    with found.timed("compile"):
        state, step = code.build(workload, params, request)
        training = measure.Training(
            step=step, state=state, feed=lambda _: first, sync=backend.sync, peek=peek, gather=backend.gather
        )
        training.advance(1)
        training.wait()
    host.mark()
    memory.give_back()  # what building took and freed; the warm-up takes what the steps need
    training.feed = lambda number: backend.put(batch(number))
    found.fields["ranks"] = [{"rank": request.rank, "device": ", ".join(devices)}]
    return training, batch


def warm_up(training: "Training", steps: int, settled: int, backend: Any, found: Found) -> None:
    """Go on to `steps` steps from the start, each on its own batch, and record every loss of each.

    Then on until the last `settled` steps have skipped no update, as a loss scale that is too large for fp16 does.
    """
    found.fields["losses"] = {}
    good = int(look_at(training, backend, found, record=True))
    while training.done < steps or good < settled:
        if training.done == max(steps, SETTLING):
            found.fields["status"] = "invalid"
            found.fields["reason"] = f"the loss scale did not settle within {training.done} steps"
            return
        training.advance(1)
        good = good + 1 if look_at(training, backend, found, record=True) else 0


def look_at(training: "Training", backend: Any, found: Found, record: bool = False) -> bool:
    """Read the last step's losses; whether all updates so far that were not skipped before this were made.

    A loss is the mean over the processes, whose shares of the batch are equal. Status `nan` if it is not a finite
    number; in a step that is skipped for it that is no fault.
    """
    own = {name: float(value) for name, value in backend.read(training.losses).items()}
    of_all = training.gather(list(own.values()))
    losses = {name: sum(values) / len(of_all) for name, values in zip(own, zip(*of_all, strict=True), strict=True)}
    before = found.fields.get("steps_skipped", 0)
    found.fields["steps_skipped"] = int(losses.pop("skipped", 0))
    made = found.fields["steps_skipped"] == before
    for name, value in losses.items():
        if record:
            found.fields["losses"].setdefault(name, []).append(value)
        if not math.isfinite(value) and made and found.fields["status"] == "ok":
            found.fields["status"] = "nan"
            found.fields["reason"] = f"loss {name} is {value} at step {training.done - 1}"
    return made


def check_updates(training: "Training", backend: Any, found: Found, before: int) -> None:
    """Status `invalid` if more of the timed steps skipped their update than a loss scale does as it grows."""
    skipped = found.fields["steps_skipped"]
    look_at(training, backend, found)
    more, timed = found.fields["steps_skipped"] - skipped, training.done - before
    if more > 1 + timed // GROWTH_INTERVAL and found.fields["status"] in ("ok", "nan"):
        found.fields["status"] = "invalid"
        found.fields["reason"] = f"{more} of {timed} timed steps skipped their update, as gradients were not finite"


@contextmanager
def steady_feed(request: "Request", backend: Any, batch: "Feed", first: int) -> "Generator[Feed]":
    """Batches for the steady state from step `first` on: a ring of `RING`, on the device or copied there ahead."""
    ring = [batch(request.steps + offset) for offset in range(RING)]
    if request.cell.input == "host":
        with prefetched(lambda number: backend.put(ring[number % RING]), first) as feed:
            yield feed
        return
    on_device = [backend.put(host) for host in ring]
    backend.sync(on_device)
    yield lambda number: on_device[number % RING]


def cast(arrays: dict[str, Any], precision: str) -> dict[str, Any]:
    """Floating-point arrays in the type that parameters are stored in; integers as they are."""
    dtype = stored(precision)
    return {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in arrays.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
