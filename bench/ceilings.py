"""The most that a device was seen to do: FLOP/s of a product of matrices, bytes/s of a pass over memory.

Runs in a process of its own, as a cell does. An implementation's `ceilings` dispatches the two; here are their sizes,
the clock, and the waiting. What comes back are raw windows; `bench.attainable` makes rates of them.
"""

import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.failures import lack_of_memory
from bench.machine import memory, noise, processor
from bench.machine.noise import Meter
from bench.measure import SYNC_SHARE, Clock, no_collection
from bench.spec import Request

TASK: str = "ceilings"  # of a request
FIRST_SIDE, LAST_SIDE = 256, 8192  # of the squares that are multiplied
PRODUCT_S = 0.01  # one product lasts at least so long: calling it takes some 10 µs, on a slow machine ten times that
WINDOWS = 5  # the best of them counts, so that more would only find a quieter moment
CACHES = 4  # an array is at least so many times as large as the last-level cache, or it would measure that
SHARE = 1 / 8  # of the memory that is free, which an array may take at most
MIB = 1 << 20
PROCESSOR_BYTES = 256 * MIB  # of a processor's array, if its caches ask for no more and its memory is not short
CACHE_OF_CORE = 8 * MIB  # assumed where the system does not tell the size: servers have 2 to 12 MiB of it for each core
LEAST_CACHE = 64 * MIB  # and no less than this, as a few cores may have all of a large one

Dispatch = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured on one kind of device."""

    array_bytes: int  # at least
    smallest_bytes: int  # where memory is short; a smaller array could lie in a cache
    window_s: float  # a window lasts at least this long


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How calls are timed."""

    sync: Callable[[Any], None]
    clock: Clock
    meter: Meter

    def warmed_up(self, dispatch: Dispatch) -> float:
        """Seconds of one call, the less of two, after two that may have had to compile or to choose."""
        seconds: list[float] = []
        for _ in range(4):
            start = self.clock()
            self.sync(dispatch())
            seconds.append(self.clock() - start)
        return min(seconds[2:])

    def idle_sync_s(self, result: Any) -> float:
        """What waiting for a result costs that is there already: the median of five."""
        self.sync(result)
        costs: list[float] = []
        for _ in range(5):
            start = self.clock()
            self.sync(result)
            costs.append(self.clock() - start)
        return statistics.median(costs)

    def windows(self, dispatch: Dispatch, least_s: float) -> list[dict[str, Any]]:
        """`{count, seconds}` of calls dispatched in a row and waited for, with the cores' time; each at least so long.

        Longer where waiting for an idle device would cost more than `SYNC_SHARE` of that, as with the windows of steps.
        One that comes out shorter starts the list anew, so that none is left out for being fast.
        """
        least_s = max(least_s, self.idle_sync_s(dispatch()) / SYNC_SHARE)
        count, found = 1, list[dict[str, Any]]()
        while len(found) < WINDOWS:
            self.meter.start()
            start = self.clock()
            for _ in range(count - 1):
                dispatch()
            self.sync(dispatch())
            seconds = self.clock() - start
            found.append({"count": count, "seconds": seconds, **self.meter.stop()})
            if seconds < least_s:
                found = []
                count = max(count + 1, min(10 * count, math.ceil(1.2 * count * least_s / max(seconds, 1e-9))))
        return found


# Windows as long as those of steps. The array is four times the largest cache of a GPU so far, 256 MiB.
ACCELERATOR = Scale(array_bytes=1024 * MIB, smallest_bytes=256 * MIB, window_s=0.1)


def measured(
    request: Request, backend: Any, impl: Any, clock: Clock = time.perf_counter, meter: Meter | None = None
) -> dict[str, Any]:
    """Windows of both, with their sizes and the device's name: `{device, matmul, copy}`.

    Args:
        request: whose platform, variant and precision are measured, on its one device.
        backend: the implementation's module of that name.
        impl: its `ceilings`.
        clock: tells seconds.
        meter: tells what others did on the cores; that of the system, if none is given.

    Raises:
        MemoryError: there is too little for an array that no cache can hold.
    """
    backend.configure(request)
    device = ", ".join(backend.devices())
    scale = ACCELERATOR if request.cell.platform != "cpu" else of_processor(request.cpus)
    cores = noise.cores_of_process()
    watch = Watch(sync=backend.sync, clock=clock, meter=meter or Meter(read=lambda: noise.usage(cores)))
    with no_collection():
        matmul = measure_product(request, impl, scale, watch)
        copy = measure_copy(request, impl, scale, watch)
    return {"device": device, "matmul": matmul, "copy": copy}


def of_processor(cpus: tuple[int, ...], root: Path = Path("/")) -> Scale:
    """How much is measured on a processor, some of whose cores are used, with the memory that is free.

    Raises:
        MemoryError: too little is.
    """
    cores = cpus or range(os.cpu_count() or 1)
    cache, room = processor.cache_bytes(cores, root), memory.available(root)
    smallest = CACHES * (max(LEAST_CACHE, CACHE_OF_CORE * len(cores)) if cache is None else cache)
    wanted = max(PROCESSOR_BYTES, smallest)
    if room is None:
        return Scale(array_bytes=wanted, smallest_bytes=smallest, window_s=0.04)
    most = int(SHARE * room) // MIB * MIB
    if most < smallest:
        raise MemoryError(f"an array of {smallest // MIB} MiB is needed, and {room // MIB} MiB of memory are free")
    return Scale(array_bytes=min(wanted, most), smallest_bytes=smallest, window_s=0.04)


def measure_product(request: Request, impl: Any, scale: Scale, watch: Watch) -> dict[str, Any]:
    """The first side, doubled from one to the next, whose product lasts long enough, and its windows."""
    side = FIRST_SIDE
    while True:
        dispatch = impl.product(side, request)
        once_s = watch.warmed_up(dispatch)
        if once_s >= PRODUCT_S or side >= LAST_SIDE:
            return {"side": side, "windows": watch.windows(dispatch, scale.window_s)}
        side *= 2


def measure_copy(request: Request, impl: Any, scale: Scale, watch: Watch) -> dict[str, Any]:
    """The array's bytes, of which each copy reads and writes all, and its windows; halved while memory is short."""
    size = scale.array_bytes

    def tried() -> list[dict[str, Any]]:
        dispatch = impl.scaled_copy(size, request)
        watch.warmed_up(dispatch)
        return watch.windows(dispatch, scale.window_s)

    while True:
        try:
            return {"bytes": size, "windows": tried()}
        except Exception as error:  # each framework has its own
            if not lack_of_memory(error) or size // 2 < scale.smallest_bytes:
                raise
        size //= 2
