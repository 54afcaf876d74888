"""The autoencoder of `bench.workloads.autoencoder`.

Shapes: B batch, H and W image sides, C channels, F features, Z the code.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from numpy.typing import NDArray

from bench.spec import Conv, Request
from bench.workloads.autoencoder import Autoencoder

from . import backend, layers, optimizers


def encoder(workload: Autoencoder, params: layers.Params, x_BHWC: Array) -> Array:
    """Images to codes."""
    for conv, block in zip(workload.encoder, workload.encoder_blocks, strict=True):
        x_BHWC = residual(params, block, jax.nn.relu(layers.conv(params, conv, x_BHWC)))
    return layers.dense(params, "enc.dense", layers.features(x_BHWC))


def decoder(workload: Autoencoder, params: layers.Params, code_BZ: Array) -> Array:
    """Codes to images in [0, 1]."""
    h_BHWC = layers.images(layers.dense(params, "dec.dense", code_BZ), workload.seed_side)
    for conv, block in zip(workload.decoder, workload.decoder_blocks, strict=True):
        h_BHWC = layers.conv(params, conv, residual(params, block, jax.nn.relu(h_BHWC)))
    return jax.nn.sigmoid(h_BHWC)


def residual(params: layers.Params, block: tuple[Conv, ...], h_BHWC: Array) -> Array:
    """A residual block; without convolutions the image itself."""
    if not block:
        return h_BHWC
    first, second = block
    inner_BHWC = jax.nn.relu(layers.conv(params, first, h_BHWC))
    return jax.nn.relu(h_BHWC + layers.conv(params, second, inner_BHWC))


class State(NamedTuple):
    params: optimizers.Arrays
    slots: optax.OptState


Batch = Mapping[str, Array]


def build(
    workload: Autoencoder, params: Mapping[str, NDArray[Any]], request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Array]]]]:
    """State with `params` on the device, and the step."""
    named = {name: jnp.array(array) for name, array in params.items()}
    optimizer = optimizers.build(workload.optimizer(request.cell.optimizer), workload.param_specs())
    return State(named, optimizer.init(named)), jax.jit(partial(step, workload, optimizer), donate_argnums=0)


def step(
    workload: Autoencoder, optimizer: optax.GradientTransformation, state: State, batch: Batch
) -> tuple[State, dict[str, Array]]:
    """One update; the state's memory becomes the new state's."""
    loss, grads = jax.value_and_grad(partial(reconstruction, workload))(state.params, batch["image"])
    return State(*optimizers.apply(optimizer, grads, state.slots, state.params)), {"reconstruction": loss}


def reconstruction(workload: Autoencoder, params: layers.Params, x_BHWC: Array) -> Array:
    """Squared error, summed over an image and averaged over the batch."""
    y_BHWC = decoder(workload, params, encoder(workload, params, x_BHWC))
    return jnp.square(y_BHWC - x_BHWC).sum() / len(x_BHWC)


def export(state: State, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters and `<slot>/<param>`."""
    return optimizers.export([(state.params, state.slots)], names)


def optimisations(state: State) -> dict[str, str | bool]:
    """What was on."""
    return {
        "jit": True,
        "donation": backend.donates(),
        "fused_optimizer": "by XLA",  # all of the step is one program
        "layout": "NHWC",
        "transposed_convolution": layers.TRANSPOSED,
    }


def kernels(workload: Autoencoder, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """None: `best` is the plain form, which XLA fuses by itself."""
    return {}
