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

from bench.spec import Request
from bench.workloads.autoencoder import Autoencoder

from . import backend, layers, optimizers


def encoder(workload: Autoencoder, params: layers.Params, x_BHWC: Array) -> Array:
    """Images to codes."""
    for conv in workload.encoder:
        x_BHWC = jax.nn.relu(layers.conv(params, conv, x_BHWC))
    return layers.dense(params, "enc.dense", layers.features(x_BHWC))


def decoder(workload: Autoencoder, params: layers.Params, code_BZ: Array) -> Array:
    """Codes to images in [0, 1]."""
    h_BHWC = layers.images(jax.nn.relu(layers.dense(params, "dec.dense", code_BZ)), workload.seed_side)
    for conv in workload.decoder[:-1]:
        h_BHWC = jax.nn.relu(layers.conv(params, conv, h_BHWC))
    return jax.nn.sigmoid(layers.conv(params, workload.decoder[-1], h_BHWC))


class State(NamedTuple):
    params: optimizers.Arrays
    slots: optax.OptState


Batch = Mapping[str, Array]


def build(
    workload: Autoencoder, params: Mapping[str, NDArray[Any]], request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Array]]]]:
    """State with `params` on the device, and the step."""
    named = {name: jnp.array(array) for name, array in params.items()}
    adam = optimizers.build(workload.optimizer(request.cell.optimizer), workload.param_specs())
    return State(named, adam.init(named)), jax.jit(partial(step, workload, adam), donate_argnums=0)


def step(
    workload: Autoencoder, adam: optax.GradientTransformation, state: State, batch: Batch
) -> tuple[State, dict[str, Array]]:
    """One update; the state's memory becomes the new state's."""
    loss, grads = jax.value_and_grad(partial(reconstruction, workload))(state.params, batch["image"])
    return State(*optimizers.apply(adam, grads, state.slots, state.params)), {"reconstruction": loss}


def reconstruction(workload: Autoencoder, params: layers.Params, x_BHWC: Array) -> Array:
    """Squared error, summed over an image and averaged over the batch."""
    y_BHWC = decoder(workload, params, encoder(workload, params, x_BHWC))
    return jnp.square(y_BHWC - x_BHWC).sum() / len(x_BHWC)


def export(state: State, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters and `m/`, `v/` slots."""
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
