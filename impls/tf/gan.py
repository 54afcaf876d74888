"""The GAN of `bench.workloads.gan`.

Shapes: B batch, Z noise, F features, C channels, H and W image sides, G norm groups, A statistics of all norms.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bench.spec import Request
from bench.workloads.gan import Gan

from . import evidence, exchange, layers, loss_scale, optimizers


class Net(NamedTuple):
    """Generator and discriminator, with all their variables."""

    workload: Gan
    g: optimizers.Training
    d: optimizers.Training
    groups: int
    forms: layers.Forms
    g_running_GA: tf.Variable  # of each norm of the generator in turn: means, then variances
    d_running_GA: tf.Variable


def generator(net: Net, params: layers.Params, z_BZ: tf.Tensor) -> tf.Tensor:
    """Noise to images in [−1, 1]; updates the running statistics."""
    workload = net.workload
    side, channels = workload.seed_side, workload.seed_channels
    norm = normalise(net, params)
    h_BF, statistics_GF = norm("g.norm0", layers.dense(params, net.forms, "g.dense", z_BZ))
    all_GF = [statistics_GF]
    h_BHWC = tf.reshape(tf.nn.relu(h_BF), (-1, side, side, channels))
    for i, conv in enumerate(workload.generator, start=1):
        h_BHWC = layers.conv(params, net.forms, conv, h_BHWC)
        if conv.norm:
            h_BHWC, statistics_GF = norm(f"g.norm{i}", h_BHWC)
            all_GF.append(statistics_GF)
            h_BHWC = tf.nn.relu(h_BHWC)
    follow(net.g_running_GA, all_GF, workload.norm_momentum)
    return tf.tanh(layers.wide(net.forms, h_BHWC))


def discriminator(net: Net, params: layers.Params, x_BHWC: tf.Tensor) -> tf.Tensor:
    """Images to one logit each; updates the running statistics."""
    workload = net.workload
    norm, all_GF = normalise(net, params), list[tf.Tensor]()
    for i, conv in enumerate(workload.discriminator, start=1):
        x_BHWC = layers.conv(params, net.forms, conv, x_BHWC)
        if conv.norm:
            x_BHWC, statistics_GF = norm(f"d.norm{i}", x_BHWC)
            all_GF.append(statistics_GF)
        x_BHWC = layers.leaky_relu(net.forms, x_BHWC, workload.leak)
    follow(net.d_running_GA, all_GF, workload.norm_momentum)
    logit_B1 = layers.dense(params, net.forms, "d.dense", tf.reshape(x_BHWC, (-1, workload.logit_inputs)))
    return layers.wide(net.forms, logit_B1)


def normalise(net: Net, params: layers.Params) -> partial[tuple[tf.Tensor, tf.Tensor]]:
    """Batch norm as this network has it, of a norm's name and its input."""
    return partial(layers.batch_norm, params, net.forms, groups=net.groups, eps=net.workload.norm_eps)


def follow(running_GA: tf.Variable, all_GF: list[tf.Tensor], momentum: float) -> None:
    """Take the statistics of one forward pass into the running ones."""
    if all_GF:
        change_GA = tf.concat(all_GF, 1) - running_GA
        running_GA.assign_add(change_GA * layers.number(1.0 - momentum, change_GA))


State = exchange.Compiled  # the variables, which a step changes in place, and the step
Batch = Mapping[str, tf.Tensor]


def build(
    workload: Gan, params: layers.Arrays, request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, tf.Tensor]]]]:
    """State with `params` on the device, and the step."""
    dtype, groups, forms = params["g.dense.w"].dtype, request.cell.groups_per_device, layers.choose(request)

    def training(prefix: str) -> optimizers.Training:
        part = {name: array for name, array in params.items() if name.startswith(prefix)}
        numbers, swapped = workload.optimizer(request.cell.optimizer), layers.swapped_kernels(workload.generator)
        return optimizers.build(numbers, part, workload.param_specs(), request, swapped, forms.apart)

    def running(prefix: str) -> tf.Variable:
        starts = [np.repeat((0.0, 1.0), count) for name, count in workload.norm_specs().items() if name[:2] == prefix]
        return tf.Variable(np.tile(np.concatenate([[], *starts]), (groups, 1)), dtype=dtype)

    def make_net() -> Net:
        return Net(workload, training("g."), training("d."), groups, forms, running("g."), running("d."))

    image, noise = (workload.batch, workload.side, workload.side, workload.channels), (workload.batch, workload.z)
    signature = [tf.TensorSpec(shape, dtype) for shape in (image, noise, noise)]
    return exchange.compiled(make_net, updates, signature, request), step


def step(state: State, batch: Batch) -> tuple[State, dict[str, tf.Tensor]]:
    """Two updates; the state is changed in place."""
    return state, state.graph(batch["image"], batch["z_d"], batch["z_g"])


def updates(
    net: Net, update: exchange.Update, real_BHWC: tf.Tensor, z_d_BZ: tf.Tensor, z_g_BZ: tf.Tensor
) -> dict[str, tf.Tensor]:
    """One update of the discriminator, then one of the generator."""
    losses = {"discriminator": update(derive_discriminator, net, net.d, real_BHWC, z_d_BZ)}
    losses["generator"] = update(derive_generator, net, net.g, z_g_BZ)
    return losses | loss_scale.skipped(net.d.scaling, net.g.scaling)


def derive_discriminator(net: Net, real_BHWC: tf.Tensor, z_BZ: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The loss on a real and a generated batch, and its gradients, none of which reaches the generator."""
    fake_BHWC = generator(net, optimizers.weights(net.g), z_BZ)
    params = optimizers.weights(net.d)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(params)
        loss_real = tf.reduce_mean(tf.nn.softplus(-discriminator(net, params, real_BHWC)))
        loss = loss_real + tf.reduce_mean(tf.nn.softplus(discriminator(net, params, fake_BHWC)))
    gradients = tape.gradient(loss, params, loss_scale.of_loss(net.d.scaling))
    return loss, optimizers.joined(net.d, gradients)


def derive_generator(net: Net, z_BZ: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The loss through the discriminator, whose parameters get no gradient."""
    params = optimizers.weights(net.g)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(params)
        fake_BHWC = generator(net, params, z_BZ)
        loss = tf.reduce_mean(tf.nn.softplus(-discriminator(net, optimizers.weights(net.d), fake_BHWC)))
    gradients = tape.gradient(loss, params, loss_scale.of_loss(net.g.scaling))
    return loss, optimizers.joined(net.g, gradients)


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays of one device by the spec's names, in its layout: parameters and slots, `mean/` and `var/` statistics."""
    net, counts = state.nets[device], state.nets[device].workload.norm_specs()
    wanted = None if names is None else list(names)
    statistics = [f"{kind}/{norm}" for norm in counts for kind in ("mean", "var")]
    kept = None if wanted is None else [name for name in wanted if name not in statistics]
    arrays = optimizers.export((net.g, net.d), kept)
    if kept == wanted and wanted is not None:
        return arrays
    running_A = np.concatenate([x_GA.numpy().mean(0) for x_GA in (net.d_running_GA, net.g_running_GA)])
    ends = np.cumsum(np.repeat(list(counts.values()), 2))
    running = dict(zip(statistics, np.split(running_A, ends[:-1]), strict=True))
    return arrays | {name: array for name, array in running.items() if wanted is None or name in wanted}


def optimisations(state: State) -> dict[str, str | bool]:
    """What was on."""
    return evidence.seen(state) | {"batch_norm": evidence.batch_norm(state)}


def kernels(workload: Gan, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """Batch norm of the generator's last norm, on a few images."""
    forms = layers.choose(request)
    if not forms.fused_norm:
        return {}
    conv = [conv for conv in workload.generator if conv.norm][-1]
    images = min(workload.batch, 8)
    random = np.random.default_rng(0)
    x_BHWF, dy_BHWF = random.normal(size=(2, images, conv.side_out, conv.side_out, conv.outputs))
    scale_F, shift_F = random.normal(1.0, 0.5, (2, conv.outputs))

    def run(form: str) -> dict[str, NDArray[Any]]:
        def normalise(x: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            params = {"norm.scale": scale, "norm.shift": shift}
            chosen = forms._replace(fused_norm=form == "best", stored=scale.dtype)
            if form != "exact":
                (x,) = layers.narrow(forms, x)
            return layers.batch_norm(params, chosen, "norm", x, groups=1, eps=workload.norm_eps)

        arrays = {"x": x_BHWF, "scale": scale_F, "shift": shift_F}
        return evidence.trial(normalise, arrays, dy_BHWF, "float64" if form == "exact" else "float32")

    return {"batch_norm": run}
