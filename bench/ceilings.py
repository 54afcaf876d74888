"""The most that a device was seen to do: FLOP/s of a product of matrices, bytes/s of a pass over memory.

Runs in a process of its own, as a cell does. An implementation's `ceilings` dispatches the two; here are their sizes,
the clock, and the waiting. What comes back are raw windows; `bench.attainable` makes rates of them.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.failures import lack_of_memory
from bench.machine import memory, processor
from bench.measure import Clock, no_collection
from bench.spec import Request

TASK: str = "ceilings"  # of a request
FIRST_SIDE, LAST_SIDE = 256, 8192  # of the squares that are multiplied
PRODUCT_S = 0.01  # one product is to last at least so long, so that calling it costs nothing
WINDOWS = 5
CACHES = 4  # an array is at least so many times as large as the last-level cache, or it would measure that
SHARE = 1 / 8  # of the memory that is free, which an array may take at most
MIB = 1 << 20
PROCESSOR_BYTES = 256 * MIB  # of a processor's array, if its caches ask for no more and its memory is not short
LARGE_CACHE = 64 * MIB  # assumed where the system does not tell the size

Dispatch = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured on one kind of device."""

    array_bytes: int  # at least
    smallest_bytes: int  # where memory is short; a smaller array could lie in a cache
    window_s: float  # a window lasts at least this long


ACCELERATOR = Scale(array_bytes=1024 * MIB, smallest_bytes=256 * MIB, window_s=0.1)


def measured(request: Request, backend: Any, impl: Any, clock: Clock = time.perf_counter) -> dict[str, Any]:
    """Windows of both, with their sizes and the device's name: `{device, matmul, copy}`.

    Args:
        request: whose platform, variant and precision are measured, on its one device.
        backend: the implementation's module of that name.
        impl: its `ceilings`.
        clock: tells seconds.

    Raises:
        MemoryError: there is too little for an array that no cache can hold.
    """
    backend.configure(request)
    device = ", ".join(backend.devices())
    scale = ACCELERATOR if request.cell.platform != "cpu" else of_processor(request.cpus)
    with no_collection():
        matmul = measure_product(request, backend, impl, scale, clock)
        copy = measure_copy(request, backend, impl, scale, clock)
    return {"device": device, "matmul": matmul, "copy": copy}


def of_processor(cpus: tuple[int, ...], root: Path = Path("/")) -> Scale:
    """How much is measured on a processor, some of whose cores are used, with the memory that is free.

    Raises:
        MemoryError: too little is.
    """
    cores = cpus or range(os.cpu_count() or 1)
    cache, room = processor.cache_bytes(cores, root), memory.available(root)
    smallest = CACHES * (LARGE_CACHE if cache is None else cache)
    wanted = max(PROCESSOR_BYTES, smallest)
    if room is None:
        return Scale(array_bytes=wanted, smallest_bytes=smallest, window_s=0.04)
    most = int(SHARE * room) // MIB * MIB
    if most < smallest:
        raise MemoryError(f"an array of {smallest // MIB} MiB is needed, and {room // MIB} MiB of memory are free")
    return Scale(array_bytes=min(wanted, most), smallest_bytes=smallest, window_s=0.04)


def measure_product(request: Request, backend: Any, impl: Any, scale: Scale, clock: Clock) -> dict[str, Any]:
    """The first side, doubled from one to the next, whose product lasts long enough, and its windows."""
    side = FIRST_SIDE
    while True:
        dispatch = impl.product(side, request)
        once_s = warmed_up(dispatch, backend.sync, clock)
        if once_s >= PRODUCT_S or side >= LAST_SIDE:
            return {"side": side, "windows": windows(dispatch, backend.sync, scale.window_s, clock)}
        side *= 2


def measure_copy(request: Request, backend: Any, impl: Any, scale: Scale, clock: Clock) -> dict[str, Any]:
    """The array's bytes, of which each copy reads and writes all, and its windows; halved while memory is short."""
    size = scale.array_bytes

    def tried() -> list[dict[str, Any]]:
        dispatch = impl.scaled_copy(size, request)
        warmed_up(dispatch, backend.sync, clock)
        return windows(dispatch, backend.sync, scale.window_s, clock)

    while True:
        try:
            return {"bytes": size, "windows": tried()}
        except Exception as error:  # each framework has its own
            if not lack_of_memory(error) or size // 2 < scale.smallest_bytes:
                raise
        size //= 2


def warmed_up(dispatch: Dispatch, sync: Callable[[Any], None], clock: Clock) -> float:
    """Seconds of one call after two that may have had to compile or to choose."""
    for _ in range(2):
        sync(dispatch())
    start = clock()
    sync(dispatch())
    return clock() - start


def windows(dispatch: Dispatch, sync: Callable[[Any], None], least_s: float, clock: Clock) -> list[dict[str, Any]]:
    """`{count, seconds}` of calls dispatched in a row and waited for, each window at least so long.

    One that comes out shorter starts the list anew, so that none is left out for being fast.
    """
    count, found = 1, list[dict[str, Any]]()
    while len(found) < WINDOWS:
        start = clock()
        for _ in range(count - 1):
            dispatch()
        sync(dispatch())
        seconds = clock() - start
        found.append({"count": count, "seconds": seconds})
        if seconds < least_s:
            found = []
            count = max(count + 1, min(10 * count, math.ceil(1.2 * count * least_s / max(seconds, 1e-9))))
    return found
