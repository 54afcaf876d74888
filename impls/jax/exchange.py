"""Several devices: each takes the step on its own samples, and what they must share is averaged.

The step of one device is mapped over a mesh with one axis. Inside, a gradient is that of the device's own loss: the
mean over the devices is taken here and nowhere else, as `check_vma=False` has JAX add no sums of its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bench.spec import Request

AXIS = "data"
SHARDED, SAME = PartitionSpec(AXIS), PartitionSpec()  # a part for each device along the first axis; the same on all


def mesh(devices: int) -> Mesh:
    """The first so many devices, in order."""
    return Mesh(np.array(jax.devices()[:devices]), (AXIS,))


def sharding(devices: int) -> NamedSharding:
    """Arrays whose first axis is shared out among the devices."""
    return NamedSharding(mesh(devices), SHARDED)


def mean(tree: Any, request: Request) -> Any:
    """Averaged over the devices, where there is an exchange."""
    return jax.lax.pmean(tree, AXIS) if request.cell.engine == "distributed" and request.exchange else tree


def compiled(step: Callable[[Any, Any], Any], kind: Any, request: Request) -> Any:
    """The step over all devices as one program, the state's memory given to it; its losses are the mean."""
    if request.cell.engine == "plain":
        return jax.jit(step, donate_argnums=0)

    def everywhere(state: Any, batch: Any) -> tuple[Any, dict[str, Array]]:
        state, losses = step(state, batch)
        return state, mean(losses, request)

    parts = layout(kind)
    over = jax.shard_map(
        everywhere,
        mesh=mesh(request.cell.devices),
        in_specs=(parts, SHARDED),
        out_specs=(parts, SAME),
        check_vma=False,
    )
    return jax.jit(over, donate_argnums=0)


def placed(state: Any, request: Request) -> Any:
    """A state as the devices hold it."""
    if request.cell.engine == "plain":
        return state
    over, parts = mesh(request.cell.devices), layout(type(state))
    return type(state)(*(jax.device_put(x, NamedSharding(over, part)) for x, part in zip(state, parts, strict=True)))


def layout(kind: Any) -> Any:
    """How the fields of a kind of state lie: running statistics are each device's own."""
    return kind(*(SHARDED if name == "stats" else SAME for name in kind._fields))


def all_reduce(elements: int, devices: int) -> Callable[[], Array]:
    """What dispatches one mean over the devices of a float32 vector on each."""
    average = jax.shard_map(
        partial(jax.lax.pmean, axis_name=AXIS), mesh=mesh(devices), in_specs=SHARDED, out_specs=SHARDED, check_vma=False
    )
    return partial(jax.jit(average), jax.device_put(jnp.zeros((devices, elements), jnp.float32), sharding(devices)))


def shard(array: Array, device: int) -> np.ndarray[Any, Any]:
    """A copy of what one device holds."""
    return np.array(sorted(array.addressable_shards, key=lambda part: part.device.id)[device].data)
