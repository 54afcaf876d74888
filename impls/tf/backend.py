"""The TensorFlow runtime: threads, precision flags, devices, copies, waiting, memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bench.spec import Request, Unavailable

from . import exchange


def configure(request: Request) -> None:
    """Set up the process, before the runtime starts.

    Operators that do not depend on each other run at once, on one set of worker threads: so `inter` is the
    number of cores as well. Subnormals are flushed to zero: TensorFlow sets that flag in all its threads.
    """
    tf.config.threading.set_intra_op_parallelism_threads(request.threads)
    tf.config.threading.set_inter_op_parallelism_threads(request.threads)
    tf.config.experimental.enable_tensor_float_32_execution(request.cell.precision == "tf32")
    if request.cell.platform == "cpu":
        tf.config.set_visible_devices([], "GPU")
        _divide_processor(request.devices)
    else:
        _take_accelerators(request)


def _divide_processor(count: int) -> None:
    """Several devices on the processor, which share its threads."""
    if count > 1:
        (processor,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
        tf.config.set_logical_device_configuration(processor, parts)


def _take_accelerators(request: Request) -> None:
    """As many of the machine's as the request has devices.

    Raises:
        Unavailable: there are fewer, or TensorFlow was built for others.
    """
    platform, build = request.cell.platform, tf.sysconfig.get_build_info()
    if not build.get(f"is_{platform}_build"):
        hint = "pip install 'tensorflow[and-cuda]'" if platform == "cuda" else "install tensorflow-rocm"
        raise Unavailable(f"this TensorFlow is not built for {platform}: {hint}")
    found = tf.config.list_physical_devices("GPU")
    if len(found) < request.devices:
        raise Unavailable(
            f"{request.devices} {platform} devices are needed, TensorFlow sees {len(found)}: "
            "ask for fewer --devices, or look at the driver"
        )
    tf.config.set_visible_devices(found[: request.devices], "GPU")
    for gpu in found[: request.devices]:
        tf.config.experimental.set_memory_growth(gpu, True)


def devices() -> list[str]:
    """Names of the devices in use."""
    return [device.name for device in exchange.devices()]


def _accelerators() -> list[tf.config.LogicalDevice]:
    return tf.config.list_logical_devices("GPU")


def put(batch: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Copies of host arrays on the device, or of an equal part of them on each.

    Integers become int64, as TensorFlow keeps int32 off GPUs.
    """
    count = len(exchange.devices())
    if count == 1:
        return {name: _constant(array) for name, array in batch.items()}
    parts = {name: np.split(array, count) for name, array in batch.items()}
    return {name: exchange.spread(lambda d, own=own: _constant(own[d])) for name, own in parts.items()}


def _constant(array: NDArray[Any]) -> tf.Tensor:
    return tf.constant(array, dtype=tf.int64 if array.dtype.kind in "iu" else None)


def gather(numbers: Sequence[float]) -> list[list[float]]:
    """Of all processes: there is one."""
    return [list(numbers)]


def all_reduce(elements: int) -> Callable[[], Any]:
    """What dispatches the mean over the devices of a vector on each, by what a step's gradients go."""
    vectors = exchange.spread(lambda _: tf.zeros(elements))
    return tf.function(lambda: exchange.strategy().run(exchange.mean, (vectors,)), autograph=False)


def sync(x: object) -> None:
    """Wait until `x` and all work dispatched before is done."""
    tf.test.experimental.sync_devices()


def read(x: Mapping[str, tf.Tensor]) -> dict[str, NDArray[Any]]:
    """Copies of device values on the host."""
    return {name: np.array(tensor.numpy()) for name, tensor in x.items()}


def memory() -> dict[str, Any]:
    """Peak bytes of the framework's own allocator, a device, or the reason why there are none."""
    names = [device.name.removeprefix("/device:") for device in _accelerators()]
    if names:
        peak = [tf.config.experimental.get_memory_info(name)["peak"] for name in names]
        return {"device_peak": peak, "device_source": "tf.config.experimental.get_memory_info", "reason": None}
    return {"device_peak": None, "device_source": None, "reason": "TensorFlow does not count its allocations on a CPU"}


def reset_memory() -> None:
    """Have the allocator's peak count anew, from what is held now."""
    for device in _accelerators():
        tf.config.experimental.reset_memory_stats(device.name.removeprefix("/device:"))


def threads() -> dict[str, int | None]:
    """Threads that one operator uses, and operators that may run at once, as the runtime reports them."""
    return {
        "intra": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def versions() -> dict[str, str]:
    """Versions of what computes."""
    build = tf.sysconfig.get_build_info()
    found = {"cuda": build.get("cuda_version"), "cudnn": build.get("cudnn_version")}
    return {"tensorflow": tf.__version__} | {name: version for name, version in found.items() if version}
