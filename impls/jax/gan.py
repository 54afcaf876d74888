"""The GAN of `bench.workloads.gan`.

Shapes: B batch, Z noise, F features, C channels, G norm groups, H and W image sides.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from numpy.typing import NDArray

from bench.spec import Request
from bench.workloads.gan import Gan

from . import evidence, exchange, layers, loss_scale, optimizers


class Net(NamedTuple):
    """All that a network is besides its parameters and running statistics."""

    workload: Gan
    forms: layers.Forms
    groups: int  # of the samples of one device


def generator(net: Net, params: layers.Params, stats: layers.Stats, z_BZ: Array) -> tuple[Array, layers.Stats]:
    """Noise to images in [−1, 1], and the running statistics after this forward pass."""
    workload, forms, _ = net
    norm = batch_norm(net, params)
    h_BF, stats = norm("g.norm0", layers.dense(params, forms, "g.dense", z_BZ), stats)
    h_BHWC = layers.images(jax.nn.relu(h_BF), workload.seed_side)
    for i, conv in enumerate(workload.generator, start=1):
        h_BHWC = layers.conv(params, forms, conv, h_BHWC)
        if conv.norm:
            h_BHWC, stats = norm(f"g.norm{i}", h_BHWC, stats)
            h_BHWC = jax.nn.relu(h_BHWC)
    return layers.rounded(jnp.tanh, h_BHWC), stats


def discriminator(net: Net, params: layers.Params, stats: layers.Stats, x_BHWC: Array) -> tuple[Array, layers.Stats]:
    """Images to one logit each, and the running statistics after this forward pass."""
    workload, forms, _ = net
    norm = batch_norm(net, params)
    for i, conv in enumerate(workload.discriminator, start=1):
        x_BHWC = layers.conv(params, forms, conv, x_BHWC)
        if conv.norm:
            x_BHWC, stats = norm(f"d.norm{i}", x_BHWC, stats)
        x_BHWC = layers.leaky_relu(x_BHWC, workload.leak)
    return layers.wide(layers.dense(params, forms, "d.dense", layers.features(x_BHWC))), stats


def batch_norm(net: Net, params: layers.Params) -> Callable[..., tuple[Array, layers.Stats]]:
    """Batch norm with the workload's numbers: (name, x, running statistics) -> (y, those after it)."""
    momentum, eps = net.workload.norm_momentum, net.workload.norm_eps
    return partial(layers.batch_norm, params, groups=net.groups, momentum=momentum, eps=eps)


class State(NamedTuple):
    g: optimizers.Arrays
    d: optimizers.Arrays
    g_slots: optax.OptState
    d_slots: optax.OptState
    stats: layers.Stats
    program: evidence.Program


Batch = Mapping[str, Array]
SHARES = State(*[exchange.SHARED] * 4, stats=exchange.DEALT, program=exchange.SHARED)


def build(
    workload: Gan, params: Mapping[str, NDArray[Any]], request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Array]]]]:
    """State with `params` on the device, and the step."""
    named = {name: jnp.array(array) for name, array in params.items()}
    g, d = ({name: array for name, array in named.items() if name.startswith(prefix)} for prefix in ("g.", "d."))
    groups, dtype = request.cell.norm_groups, named["g.dense.w"].dtype
    stats = {
        name: (jnp.zeros((groups, features), dtype), jnp.ones((groups, features), dtype))
        for name, features in workload.norm_specs().items()
    }
    numbers, specs = workload.optimizer(request.cell.optimizer), workload.param_specs()
    training = optimizers.build(numbers, specs, request)
    net = Net(workload, layers.choose(request), request.cell.groups_per_device)
    function = exchange.compiled(partial(step, net, training), SHARES, request)
    state = State(g, d, training.init(g), training.init(d), stats, evidence.Program(net.forms, function))
    return exchange.laid_out(state, SHARES, request), function


def step(net: Net, training: optimizers.Training, state: State, batch: Batch) -> tuple[State, dict[str, Array]]:
    """Two updates; the state's memory becomes the new state's."""
    state, loss_d = update_discriminator(net, training, state, batch["image"], batch["z_d"])
    state, loss_g = update_generator(net, training, state, batch["z_g"])
    losses = {"discriminator": loss_d, "generator": loss_g}
    return state, losses | loss_scale.skipped(state.d_slots, state.g_slots)


def update_discriminator(
    net: Net, training: optimizers.Training, state: State, real_BHWC: Array, z_BZ: Array
) -> tuple[State, Array]:
    """One update on a real and a generated batch; no gradient reaches the generator, whose pass is outside."""
    fake_BHWC, after_g = generator(net, state.g, state.stats, z_BZ)

    def loss(d: optimizers.Arrays) -> tuple[Array, layers.Stats]:
        real_B1, after_real = discriminator(net, d, after_g, real_BHWC)
        fake_B1, after_fake = discriminator(net, d, after_real, fake_BHWC)
        return jax.nn.softplus(-real_B1).mean() + jax.nn.softplus(fake_B1).mean(), after_fake

    (value, stats), grads = training.value_and_grad(loss, state.d_slots, has_aux=True)(state.d)
    d, d_slots = training.apply(grads, state.d_slots, state.d)
    return state._replace(d=d, d_slots=d_slots, stats=stats), value


def update_generator(net: Net, training: optimizers.Training, state: State, z_BZ: Array) -> tuple[State, Array]:
    """One update through the discriminator; gradients of its parameters are never computed."""

    def loss(g: optimizers.Arrays) -> tuple[Array, layers.Stats]:
        fake_BHWC, after_g = generator(net, g, state.stats, z_BZ)
        fake_B1, after_d = discriminator(net, state.d, after_g, fake_BHWC)
        return jax.nn.softplus(-fake_B1).mean(), after_d

    (value, stats), grads = training.value_and_grad(loss, state.g_slots, has_aux=True)(state.g)
    g, g_slots = training.apply(grads, state.g_slots, state.g)
    return state._replace(g=g, g_slots=g_slots, stats=stats), value


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters, `<slot>/<param>`, `mean/<norm>` and `var/<norm>`."""
    running = {
        f"{statistic}/{name}": x_GF
        for name, pair in state.stats.items()
        for statistic, x_GF in zip(("mean", "var"), pair, strict=True)
    }
    kept = None if names is None else [name for name in names if name not in running]
    arrays = optimizers.export([(state.g, state.g_slots), (state.d, state.d_slots)], kept, device)
    chosen = running if names is None else [name for name in names if name in running]
    return arrays | {name: exchange.part(running[name], device).mean(axis=0) for name in chosen}


def optimisations(state: State) -> dict[str, str | bool]:
    """What was on."""
    return evidence.seen(state.program, state.g_slots, state.d_slots) | evidence.IMAGES | {"batch_norm": "written out"}


def kernels(workload: Gan, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """None: `best` is the plain form, which XLA fuses by itself."""
    return {}
