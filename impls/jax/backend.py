"""The JAX runtime: threads, precision flags, devices, copies, waiting, memory."""

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bench.spec import Request, Unavailable

from . import exchange

_request: Request | None = None  # that the process was configured for
POOL = "tf_XLAEigen"  # what Linux calls the threads of XLA's pool on a CPU


def configure(request: Request) -> None:
    """Set up the process, before the runtime has started a thread.

    XLA on a CPU has one pool for all operators of a program and for the parts of one; it reads its size from the
    environment when the first device is asked for. Subnormals are flushed to zero by XLA's default there.
    """
    os.environ["PJRT_NPROC"] = str(request.threads)
    # "highest" is no TF32, nor bfloat16 passes on a TPU.
    precision = "tensorfloat32" if request.cell.precision == "tf32" else "highest"
    jax.config.update("jax_default_matmul_precision", precision)
    # Without it float64 arrays become float32; a kernel's test compares with float64.
    jax.config.update("jax_enable_x64", request.cell.precision == "fp64" or request.task == "kernels")
    if request.cell.emulated:
        jax.config.update("jax_num_cpu_devices", request.cell.devices)
    # Compiled programs, however small or quickly made, are kept in the cell's own folder or nowhere.
    jax.config.update("jax_compilation_cache_dir", request.cache or None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

    find_devices(request)


def find_devices(request: Request) -> None:
    """Start the runtime, and note which devices are in use.

    Raises:
        Unavailable: it has not as many.
    """
    global _request
    cell, _request = request.cell, request
    try:
        found = jax.devices()
    except RuntimeError as error:
        raise Unavailable(f"JAX finds no {cell.platform} device, is its plugin installed? {error}") from error
    if len(found) < cell.devices:
        raise Unavailable(f"JAX finds {len(found)} {cell.platform} device(s), {cell.devices} are needed")


def used() -> list[jax.Device]:
    """The devices of the cell."""
    return jax.devices()[: _request.devices if _request else None]


def devices() -> list[str]:
    """Names of the devices in use."""
    return [device.device_kind for device in used()]


def put(batch: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    """Copies of host arrays, a part on each device; `jax.device_put` would share the memory of some on a CPU."""
    if _request is None or _request.cell.engine == "plain":
        return {name: jnp.array(array) for name, array in batch.items()}
    shared = exchange.sharding(_request.devices)
    return {name: jax.device_put(array.copy(), shared) for name, array in batch.items()}


def gather(numbers: Sequence[float]) -> list[list[float]]:
    """The numbers of every process of the cell, by rank: one process drives all devices."""
    return [list(numbers)]


def all_reduce(elements: int) -> Callable[[], Array]:
    """What dispatches one mean over all devices of a float32 vector of so many elements on each."""
    return exchange.all_reduce(elements, _request.devices if _request else 1)


def sync(x: object) -> None:
    """Wait until every array in `x` is there; a step's results are there when the steps before it are done."""
    jax.block_until_ready(x)


def read(x: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    """Copies of device values on the host."""
    return {name: np.array(array) for name, array in x.items()}


def memory() -> dict[str, Any]:
    """Peak bytes of the framework's own allocator, a device, or the reason why there are none."""
    stats = [device.memory_stats() for device in used()]
    if all(stats):
        peak = [stat["peak_bytes_in_use"] for stat in stats]
        return {"device_peak": peak, "device_source": "Device.memory_stats", "reason": None}
    return {"device_peak": None, "device_source": None, "reason": "JAX does not count its allocations on a CPU"}


def threads() -> dict[str, int | None]:
    """Threads of XLA's pool, counted, as it cannot be asked; how many operators run at once is not told."""
    tasks = Path("/proc/self/task")
    names = [(task / "comm").read_text().strip() for task in tasks.iterdir()] if tasks.is_dir() else []
    return {"intra": names.count(POOL) or None, "inter": None}


def donates() -> bool:
    """Whether the runtime really takes over the buffers that a program is given to keep."""
    given = jnp.zeros(2)
    jax.jit(lambda x: x + 1, donate_argnums=0)(given)
    return given.is_deleted()


def versions() -> dict[str, str]:
    """Versions of what computes."""
    found = {name: metadata.version(name) for name in ("jax", "jaxlib", "optax")}
    device = jax.devices()[0]
    return found if device.platform == "cpu" else found | {device.platform: device.client.platform_version}
