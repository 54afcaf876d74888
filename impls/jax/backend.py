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
from jax.sharding import NamedSharding
from numpy.typing import NDArray

from bench.spec import Request, Unavailable

from . import exchange

POOL = "tf_XLAEigen"  # what Linux calls the threads of XLA's pool on a CPU
# XLA ends a process of which a device waits a minute for the others: those that share cores may be further apart.
PATIENCE = "--xla_cpu_collective_call_terminate_timeout_seconds=86400"
BUILDS = {"cuda": "jax[cuda13]", "rocm": "jax[rocm7-local]", "tpu": "jax[tpu]"}

in_use: list[jax.Device] = []  # devices of this process, in order
samples: NamedSharding | None = None  # how a batch is dealt out to them; None: it lies on the one that there is


def configure(request: Request) -> None:
    """Set up the process, then start the runtime.

    XLA on a CPU has one pool for all operators of a program and for the parts of one; it reads its size from the
    environment when the first device is asked for, and adds to it where there are more devices: each needs a thread to
    wait in for the others. Subnormals are flushed to zero by XLA's default there.

    Raises:
        Unavailable: there are too few devices, or none that this build can use.
    """
    global samples
    os.environ["PJRT_NPROC"] = str(request.threads)
    if request.cell.emulated:
        os.environ["XLA_FLAGS"] = f"{PATIENCE} {os.environ.get('XLA_FLAGS', '')}".strip()
    # "highest" is no TF32, nor bfloat16 passes on a TPU.
    precision = "tensorfloat32" if request.cell.precision == "tf32" else "highest"
    jax.config.update("jax_default_matmul_precision", precision)
    # Without it float64 arrays become float32; a kernel's test compares with float64.
    jax.config.update("jax_enable_x64", request.cell.precision == "fp64" or request.task == "kernels")
    # Compiled programs, however small or quickly made, are kept in the cell's own folder or nowhere.
    jax.config.update("jax_compilation_cache_dir", request.cache or None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if request.cell.platform == "cpu":
        jax.config.update("jax_num_cpu_devices", request.devices)
    in_use[:] = available(request)
    spread = request.cell.engine == exchange.WHOLE
    samples = NamedSharding(exchange.mesh(in_use), exchange.DEALT) if spread else None


def available(request: Request) -> list[jax.Device]:
    """As many devices as the request asks for; starts the runtime."""
    platform = request.cell.platform
    try:
        found = jax.local_devices(backend=platform)
    except (RuntimeError, AssertionError) as error:  # the latter, without a word, where no NVIDIA GPU is to be seen
        fault = str(error).partition(" (set JAX_PLATFORMS")[0] or "no such device is visible"
        hint = f": it needs such a device, and pip install '{BUILDS[platform]}'" if platform in BUILDS else ""
        raise Unavailable(f"JAX cannot use {platform} here ({fault}){hint}") from error
    if len(found) < request.devices:
        raise Unavailable(f"{request.devices} {platform} devices were asked for, JAX finds {len(found)}")
    return found[: request.devices]


def devices() -> list[str]:
    """Names of the devices in use."""
    return [device.device_kind for device in in_use]


def compute_capability() -> float:
    """What NVIDIA calls the generation of the first device: 8.0 is Ampere, 9.0 Hopper."""
    return float(jax.devices()[0].compute_capability)


def put(batch: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    """Copies of host arrays on the device, or on each device its part of them.

    `jax.device_put` would share the memory of some of them on a CPU, also where it is told that it may not.
    """
    return {name: jnp.array(array, device=samples) for name, array in batch.items()}


def gather(numbers: Sequence[float]) -> list[list[float]]:
    """The numbers of each process, by rank: there is one process."""
    return [list(numbers)]


def all_reduce(elements: int) -> Callable[[], Array]:
    """What dispatches one mean over the devices of a vector of so many float32 on each."""
    return exchange.mean_of(in_use, elements)


def sync(x: object) -> None:
    """Wait until every array in `x` is there; a step's results are there when the steps before it are done."""
    jax.block_until_ready(x)


def read(x: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    """Copies of device values on the host."""
    return {name: np.array(array) for name, array in x.items()}


def memory() -> dict[str, Any]:
    """Peak bytes of the framework's own allocator, a device, or the reason why there are none."""
    stats = [device.memory_stats() for device in in_use]
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
