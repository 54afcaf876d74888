"""The fake framework's runtime: host memory is the device."""

import os
import resource
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.fake import faults, ranks
from tests.fake.faults import fail_in

FAKE_ALLOCATE = int(os.environ.get("FAKE_ALLOCATE", 0))  # bytes: see `autoencoder.build`
FAKE_PER_SAMPLE = int(os.environ.get("FAKE_PER_SAMPLE", 0))  # bytes that a step takes for each sample of its batch
FAKE_LIMIT = int(os.environ.get("FAKE_LIMIT", 0))  # bytes that a cell may map beyond what it begins with
held = peak = 0  # bytes that `allocate` gave out, now and at most

fail_in("import")


def configure(request: Any) -> None:
    faults.begin(request)
    fail_in("init")
    if FAKE_LIMIT:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + FAKE_LIMIT, now + FAKE_LIMIT))
    ranks.join(request)
    if request.cache:
        (Path(request.cache) / "compiled").touch()


def devices() -> list[str]:
    return [f"fake:{ranks.rank}"]


def gather(numbers: Sequence[float]) -> list[list[float]]:
    """By files in the folder above the ranks' own."""
    return ranks.gather(numbers)


def all_reduce(elements: int) -> Callable[[], Any]:
    return lambda: np.zeros(elements)


def put(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    fail_in("put")
    return {name: array.copy() for name, array in batch.items()}


def sync(x: Any) -> None:
    fail_in("sync")


def read(x: Mapping[str, Any]) -> dict[str, Any]:
    fail_in("read")
    return {name: np.asarray(value) for name, value in x.items()}


def memory() -> dict[str, Any]:
    """Bytes that `allocate` was asked for, if it was asked at all."""
    fail_in("memory")
    if not FAKE_ALLOCATE:
        return {"device_peak": None, "device_source": None, "reason": "the fake framework does not count"}
    return {"device_peak": [peak], "device_source": "counted", "reason": None}


def reset_memory() -> None:
    global peak
    peak = held


def allocate(size: int) -> Any:
    """So many bytes, touched, counted until `free` is called with the array."""
    global held, peak
    held += size
    peak = max(peak, held)
    return np.ones(size, np.uint8)


def free(array: Any) -> None:
    global held
    held -= array.size


def threads() -> dict[str, int | None]:
    fail_in("threads")
    return {"intra": 1, "inter": 1}


def versions() -> dict[str, str]:
    fail_in("versions")
    return {"numpy": f"{np.__version__}+build"}  # as PyTorch names a build that its package does not
