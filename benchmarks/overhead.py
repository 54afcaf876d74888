"""What the harness adds to a step: of a step that does nothing, and of each framework's real steps.

    python benchmarks/overhead.py                 a step that does nothing, then every framework that is installed
    python benchmarks/overhead.py torch [WORKLOAD]   one framework, in this process

The real step is driven by a bare loop and by the harness in turn, in one process, the same number of steps each,
until the 95 % interval of the ratio is within ±0.5 % or 200 pairs are done.
"""

import importlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import manifests, measure, plan, stats, worker
from bench.machine.fingerprint import cpu_model
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.spec import Request

PAIR_S = 0.1  # seconds of each side of a pair
MAX_PAIRS = 200
HALF_WIDTH = 0.005


def main(arguments: list[str]) -> None:
    if arguments:
        print(real_step(*arguments), flush=True)
        return
    print(f"machine: {cpu_model()}, {len(physical_cores())} physical core(s)", flush=True)
    print(f"harness on a step that does nothing: {1e6 * nothing_step_s():.2f} µs a step (limit 20)", flush=True)
    for name, manifest in manifests.find().items():
        if manifest.installed:
            environment = {**os.environ, **manifest.variables(request_for(name, "autoencoder"))}
            subprocess.run([sys.executable, __file__, name], env=environment, check=True)


def nothing_step_s(steps: int = 200_000) -> float:
    """Seconds a step of everything that the harness does in a window, the waiting included."""
    batches = list(range(8))
    training = measure.Training(
        step=lambda state, batch: (state, batch), state=0, feed=lambda number: batches[number % 8],
        sync=lambda _: None, peek=lambda _state, _losses: None,
    )  # fmt: skip
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        training.advance(steps)
        training.wait()
        best = min(best, time.perf_counter() - start)
    return best / steps


def request_for(impl: str, workload: str) -> Request:
    cores = physical_cores()
    cell = plan.plan_cells(Choice(impl=(impl,), workload=(workload,), size="tiny"), manifests.find())[0]
    return Request(cell=cell, task="measure", folder="", threads=len(cores), cpus=cores)


def real_step(impl: str, workload: str = "autoencoder") -> str:
    """Ratio of the harness's time to a bare loop's over the same steps, with its interval."""
    request = request_for(impl, workload)
    package = manifests.find()[impl].package
    backend = importlib.import_module(f"{package}.backend")
    code = importlib.import_module(f"{package}.{workload}")
    os.sched_setaffinity(0, request.cpus)
    found = worker.Found(fields={"phases_s": {}})
    training, batch = worker.start_training(request, backend, code, found)
    worker.warm_up(training, request.steps, 0, backend, found)
    ratios: list[float] = []
    with worker.steady_feed(request, backend, batch, training.done) as training.feed, measure.no_collection():
        steps = calibrate(training)
        while len(ratios) < MAX_PAIRS:
            ratios.append(pair(training, steps, harness_first=len(ratios) % 2 == 0))
            if len(ratios) >= 10 and (stats.geometric_mean(ratios).half_width or 1) <= HALF_WIDTH:
                break
    ratio = stats.geometric_mean(ratios)
    return (
        f"{impl} {workload}/tiny: harness over bare loop {ratio.mean:.4f} "
        f"[{ratio.low:.4f}, {ratio.high:.4f}] from {len(ratios)} pairs of {steps} steps (limit 1.01)"
    )


def calibrate(training: measure.Training) -> int:
    return max(1, math.ceil(PAIR_S / (timed(lambda: harness(training, 20)) / 20)))


def pair(training: measure.Training, steps: int, *, harness_first: bool) -> float:
    sides = (harness, bare) if harness_first else (bare, harness)
    seconds = {side: timed(lambda side=side: side(training, steps)) for side in sides}
    return seconds[harness] / seconds[bare]


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def harness(training: measure.Training, steps: int) -> None:
    training.advance(steps)
    training.wait()


def bare(training: measure.Training, steps: int) -> None:
    """The loop that anyone would write."""
    step, state, losses = training.step, training.state, training.losses
    batches = [training.feed(number) for number in range(8)]
    for number in range(steps):
        state, losses = step(state, batches[number % 8])
    training.sync((state, losses))
    training.state, training.losses = state, losses


if __name__ == "__main__":
    main(sys.argv[1:])
