"""Several devices: one program for all of them, in which each takes the step on samples of its own.

What one device computes is the code that one device alone would run. Gradients are averaged over the devices where they
are taken, so that what follows (the loss scale's judgement, clipping, the update) is the same on each device. XLA puts
the all-reduces of an update together: all of them on a CPU, on a GPU up to 30 MiB, which it can send while others are
still computed.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from numpy.typing import NDArray

from bench.spec import Request

DATA = "data"  # the axis of devices, along which samples and running statistics are dealt out
SHARED, DEALT = P(), P(DATA)  # each device has a copy; each device has its part of the first axis
WHOLE = "distributed"  # the engine that this file is
OPTIONS = {"xla_gpu_enable_latency_hiding_scheduler": True}  # without it a GPU computes nothing while it exchanges


def mesh(devices: Sequence[jax.Device]) -> Mesh:
    return Mesh(np.array(devices), (DATA,))


def mesh_of(request: Request) -> Mesh:
    """The devices that a request asks for."""
    return mesh(jax.local_devices()[: request.devices])


def averages(request: Request) -> bool:
    """Whether the devices average what they compute."""
    return request.cell.engine == WHOLE and request.exchange


def compiled(step: Callable[..., Any], shares: Any, request: Request) -> Callable[..., Any]:
    """The step as one program, to which the state's memory is given; `shares` says what of the state is dealt out.

    JAX is kept from tracking which values are the same on all devices (`check_vma`). If it does, it takes the gradient
    to a shared parameter of the sum of all devices' losses, by an all-reduce of its own for each parameter, and a
    `lax.pmean` of what is the same everywhere leaves the sum. And it refuses our own rules for products where a
    parameter is no part of what is differentiated.
    """
    if request.cell.engine != WHOLE:
        return jax.jit(step, donate_argnums=0)
    given, made = (shares, DEALT), (shares, SHARED)
    on_each = jax.shard_map(step, mesh=mesh_of(request), in_specs=given, out_specs=made, check_vma=False)
    options = OPTIONS if request.cell.platform in ("cuda", "rocm") else None
    # Where the results lie is stated: on one device JAX would name it otherwise than `laid_out`, and compile twice.
    return jax.jit(on_each, donate_argnums=0, out_shardings=places(made, request), compiler_options=options)


def laid_out(state: Any, shares: Any, request: Request) -> Any:
    """The state on the devices that the program runs on."""
    if request.cell.engine != WHOLE:
        return state
    return jax.device_put(state, places(shares, request))


def places(shares: Any, request: Request) -> Any:
    """Where on the devices the arrays lie that are shared or dealt out."""
    return jax.tree.map(partial(NamedSharding, mesh_of(request)), shares)


def value_and_grad(inner: Callable[..., Any], loss: Callable[..., Any], slots: Any, has_aux: bool = False) -> Any:
    """As `inner`, a form of `jax.value_and_grad`; value and gradients are the mean over the devices."""

    def evaluate(params: Any) -> tuple[Any, Any]:
        found, grads = inner(loss, slots, has_aux)(params)
        value, *aux = found if has_aux else (found,)
        value, grads = jax.tree.map(partial(lax.pmean, axis_name=DATA), (value, grads))
        return ((value, *aux) if has_aux else value), grads

    return evaluate


def mean_of(devices: Sequence[jax.Device], elements: int) -> Callable[[], Array]:
    """What dispatches one all-reduce of a vector of float32 on each of the devices, its mean."""
    own = mesh(devices)
    host = np.arange(len(devices) * elements, dtype=np.float32)
    vector = jnp.array(host, device=NamedSharding(own, DEALT))
    mean = jax.shard_map(partial(lax.pmean, axis_name=DATA), mesh=own, in_specs=DEALT, out_specs=SHARED)
    return partial(jax.jit(mean), vector)


def part(array: Array, device: int) -> NDArray[Any]:
    """A copy, on the host, of what one device holds of an array.

    Not by `addressable_data`, which gives the first device's of what is said to be the same on all.
    """
    return np.array(array.addressable_shards[device].data)
