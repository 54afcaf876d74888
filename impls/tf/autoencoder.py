"""The autoencoder of `bench.workloads.autoencoder`.

Shapes: B batch, H and W image sides, C channels, F features, Z the code.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from numpy.typing import NDArray

from bench.spec import Conv, Request
from bench.workloads.autoencoder import Autoencoder

from . import evidence, exchange, layers, loss_scale, optimizers


def encoder(workload: Autoencoder, params: layers.Params, forms: layers.Forms, x_BHWC: tf.Tensor) -> tf.Tensor:
    """Images to codes."""
    for conv, convs in zip(workload.encoder, workload.encoder_blocks, strict=True):
        x_BHWC = block(params, forms, convs, tf.nn.relu(layers.conv(params, forms, conv, x_BHWC)))
    return layers.dense(params, forms, "enc.dense", tf.reshape(x_BHWC, (-1, workload.features)))


def decoder(workload: Autoencoder, params: layers.Params, forms: layers.Forms, code_BZ: tf.Tensor) -> tf.Tensor:
    """Codes to images in [0, 1]."""
    h_BF = tf.nn.relu(layers.dense(params, forms, "dec.dense", code_BZ))
    h_BHWC = tf.reshape(h_BF, (-1, workload.seed_side, workload.seed_side, workload.seed_channels))
    *levels, (last, last_block) = zip(workload.decoder, workload.decoder_blocks, strict=True)
    for conv, convs in levels:
        h_BHWC = tf.nn.relu(layers.conv(params, forms, conv, block(params, forms, convs, h_BHWC)))
    logits_BHWC = layers.conv(params, forms, last, block(params, forms, last_block, h_BHWC))
    return layers.rounded(forms, tf.sigmoid(layers.wide(forms, logits_BHWC)))


def block(params: layers.Params, forms: layers.Forms, convs: tuple[Conv, ...], h_BHWC: tf.Tensor) -> tf.Tensor:
    """A residual block of two convolutions, or nothing."""
    if not convs:
        return h_BHWC
    first, second = convs
    inner_BHWC = tf.nn.relu(layers.conv(params, forms, first, h_BHWC))
    return tf.nn.relu(h_BHWC + layers.conv(params, forms, second, inner_BHWC))


class Net(NamedTuple):
    """Encoder and decoder, with all their variables."""

    workload: Autoencoder
    forms: layers.Forms
    training: optimizers.Training


State = exchange.Compiled  # the variables, which a step changes in place, and the step
Batch = Mapping[str, tf.Tensor]


def build(
    workload: Autoencoder, params: layers.Arrays, request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, tf.Tensor]]]]:
    """State with `params` on the device, and the step."""
    forms, swapped = layers.choose(request), layers.swapped_kernels(workload.decoder)
    numbers, specs = workload.optimizer(request.cell.optimizer), workload.param_specs()
    shape = (workload.batch, workload.side, workload.side, workload.channels)

    def make_net() -> Net:
        return Net(workload, forms, optimizers.build(numbers, params, specs, request, swapped, forms.apart))

    return exchange.compiled(make_net, updates, [tf.TensorSpec(shape, params["enc.dense.w"].dtype)], request), step


def step(state: State, batch: Batch) -> tuple[State, dict[str, tf.Tensor]]:
    """One update; the state is changed in place."""
    return state, state.graph(batch["image"])


def updates(net: Net, update: exchange.Update, x_BHWC: tf.Tensor) -> dict[str, tf.Tensor]:
    """One update."""
    losses = {"reconstruction": update(derive, net, net.training, x_BHWC)}
    return losses | loss_scale.skipped(net.training.scaling)


def derive(net: Net, x_BHWC: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The squared error, summed over an image and averaged over the batch, and its gradients."""
    workload, forms, training = net
    params = optimizers.weights(training)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(params)
        y_BHWC = decoder(workload, params, forms, encoder(workload, params, forms, x_BHWC))
        loss = layers.total(forms, tf.square(y_BHWC - x_BHWC)) / layers.number(workload.batch, x_BHWC)
    gradients = tape.gradient(loss, params, loss_scale.of_loss(training.scaling))
    return loss, optimizers.joined(training, gradients)


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays of one device by the spec's names, in its layout: parameters and slots."""
    return optimizers.export((state.nets[device].training,), names)


def optimisations(state: State) -> dict[str, str | bool]:
    """What was on."""
    return evidence.seen(state)


def kernels(workload: Autoencoder, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """None: TensorFlow fuses no operation of these that is not exact in float64 too."""
    return {}
