"""Each framework's implementation here against its plain idiom, and the frameworks against each other.

    python benchmarks/idiom.py [SIZE]                              everything that is installed, at `small`
    python benchmarks/idiom.py IMPL VARIANT WORKLOAD SIZE [S]      one of them, for S seconds (20) in this process

Both sides run in one process and in turn, a window of about 0.3 s each; the plain side is in `benchmarks/plain`.
The ratio is the plain idiom's time over ours, the geometric mean over the pairs with its 95 % t interval on logarithms.
"""

import importlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import manifests, measure, plan, stats, worker, workloads
from bench.machine.fingerprint import cpu_model
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.spec import Request

WINDOW_S = 0.3
RING = 8


def main(arguments: list[str]) -> None:
    if len(arguments) > 1:
        impl, variant, workload, size, *seconds = arguments
        print(compare(impl, variant, workload, size, float(seconds[0]) if seconds else 20.0), flush=True)
        return
    size = arguments[0] if arguments else "small"
    print(f"machine: {cpu_model()}, {len(physical_cores())} physical core(s)", flush=True)
    for manifest in manifests.find().values():
        for variant in manifest.variants:
            for workload in workloads.WORKLOADS:
                if manifest.installed and not manifest.lacks(variant):
                    environment = {
                        **os.environ,
                        **manifest.variables(request_for(manifest.name, variant, workload, size)),
                    }
                    command = [sys.executable, __file__, manifest.name, variant, workload, size]
                    subprocess.run(command, env=environment, check=True)


def request_for(impl: str, variant: str, workload: str, size: str, cache: str = "") -> Request:
    cores = physical_cores()
    choice = Choice(impl=(impl,), variant=(variant,), workload=(workload,), size=size, precision=("fp32",))
    (cell,) = plan.plan_cells(choice, manifests.find())
    return Request(cell=cell, task="measure", folder="", threads=len(cores), cpus=cores, steps=3, cache=cache)


def compare(impl: str, variant: str, workload: str, size: str, seconds: float) -> str:
    """One line: milliseconds a step of both sides, and their ratio."""
    request = request_for(impl, variant, workload, size)
    package = manifests.find()[impl].package
    variables = manifests.find()[impl].variables(request)
    if variables.items() - os.environ.items():  # some are read when the process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **variables})
    backend = importlib.import_module(f"{package}.backend")
    code = importlib.import_module(f"{package}.{workload}")
    os.sched_setaffinity(0, request.cpus)
    training, batch = worker.start_training(request, backend, code, worker.Found(fields={"phases_s": {}}))
    ring = [backend.put(batch(number)) for number in range(RING)]
    spec = workloads.get(workload, size, request.cell.global_batch)
    plain_step = importlib.import_module(f"benchmarks.plain.{impl}").build(spec, variant)
    ours_step, state = training.step, training.state

    def ours(number: int) -> Any:
        nonlocal state
        state, losses = ours_step(state, ring[number % RING])
        return state, losses

    def plain(number: int) -> Any:
        return plain_step(ring[number % RING])

    sides = {"ours": ours, "plain": plain}
    counts = {name: calibrate(side, backend.sync) for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with measure.no_collection():
        begin, pair = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds or pair < 5:
            for name in sides if pair % 2 else reversed(sides):
                times[name].append(window(sides[name], counts[name], backend.sync))
            pair += 1
    ours_ms, plain_ms = (1e3 * statistics.median(times[name]) for name in ("ours", "plain"))
    ratio = stats.geometric_mean([p / o for p, o in zip(times["plain"], times["ours"], strict=True)])
    return (
        f"{impl} {variant} {workload}/{size}: ours {ours_ms:.2f} ms, plain {plain_ms:.2f} ms, "
        f"plain/ours {ratio.mean:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] in {pair} pairs"
    )


def calibrate(side: Callable[[int], Any], sync: Callable[[Any], None]) -> int:
    """Steps that take about a window, after enough of them to compile and settle."""
    window(side, 3, sync)
    return max(1, round(WINDOW_S / min(window(side, 2, sync) for _ in range(3))))


def window(side: Callable[[int], Any], steps: int, sync: Callable[[Any], None]) -> float:
    """Seconds a step of some steps, waited for."""
    start = time.perf_counter()
    for number in range(steps):
        result = side(number)
    sync(result)
    return (time.perf_counter() - start) / steps


if __name__ == "__main__":
    main(sys.argv[1:])
