"""What it costs that the devices of a cell average their gradients: all-reduces by size, and steps that leave it out.

Runs in all processes of a cell at once, when everything else has been measured.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench import measure, workloads
from bench.data.draw import init_params
from bench.machine.noise import Meter
from bench.precision import stored

if TYPE_CHECKING:
    from bench.measure import Training
    from bench.spec import Request

SIZES = (2**12, 2**16, 2**20)  # bytes of the vectors on each device; then as many as the cell's own gradients
SAMPLES = 5  # of each size; the first is left out
ELEMENT = 4  # bytes of float32, in which gradients are averaged whatever the precision of products


def is_measured(request: "Request") -> bool:
    """Whether a cell has something to exchange; once a run is enough."""
    return request.task == "measure" and request.cell.devices > 1 and request.repeat == 0


def measured(training: "Training", request: "Request", backend: Any, code: Any) -> dict[str, Any]:
    """The record's `communication`; ends the training."""
    cell = request.cell
    workload = workloads.get(cell.workload, cell.size, cell.batch_per_device)
    params = {name: array.astype(stored(cell.precision)) for name, array in init_params(workload, cell.seed).items()}
    own = ELEMENT * sum(array.size for array in params.values())
    all_reduces = [
        {"bytes": size, "seconds": all_reduce_s(backend.all_reduce(size // ELEMENT), training, backend.sync)}
        for size in (*SIZES, own)
    ]
    training.state = training.losses = None  # room for another
    training.state, training.step = code.build(workload, params, replace(request, exchange=False))
    training.advance(1)
    training.wait()
    windows = measure.measure_windows(measure.Stopwatch(training=training, meter=Meter(read=lambda: None)), request)
    by_rank = [training.gather([window.own_s]) for window in windows]
    return {
        "gradient_bytes": own,
        "all_reduce": all_reduces,
        "without_exchange": [
            {"steps": window.steps, "rank_s": [seconds for (seconds,) in ranks]}
            for window, ranks in zip(windows, by_rank, strict=True)
        ],
    }


def all_reduce_s(dispatch: Callable[[], Any], training: "Training", sync: Callable[[Any], None]) -> float:
    """Seconds that one all-reduce takes when all devices start at once: the median, of the slowest process."""
    samples: list[float] = []
    for _ in range(1 + SAMPLES):
        training.gather([])
        start = time.perf_counter()
        sync(dispatch())
        samples.append(training.slowest(time.perf_counter() - start))
    return statistics.median(samples[1:])
