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

from . import evidence, exchange, layers, loss_scale, optimizers


def encoder(workload: Autoencoder, params: layers.Params, forms: layers.Forms, x_BHWC: Array) -> Array:
    """Images to codes."""
    for conv, block in zip(workload.encoder, workload.encoder_blocks, strict=True):
        x_BHWC = residual(params, forms, block, jax.nn.relu(layers.conv(params, forms, conv, x_BHWC)))
    return layers.dense(params, forms, "enc.dense", layers.features(x_BHWC))


def decoder(workload: Autoencoder, params: layers.Params, forms: layers.Forms, code_BZ: Array) -> Array:
    """Codes to images in [0, 1]."""
    h_BHWC = layers.images(layers.dense(params, forms, "dec.dense", code_BZ), workload.seed_side)
    for conv, block in zip(workload.decoder, workload.decoder_blocks, strict=True):
        h_BHWC = layers.conv(params, forms, conv, residual(params, forms, block, jax.nn.relu(h_BHWC)))
    return layers.rounded(jax.nn.sigmoid, h_BHWC)


def residual(params: layers.Params, forms: layers.Forms, block: tuple[Conv, ...], h_BHWC: Array) -> Array:
    """A residual block; without convolutions the image itself."""
    if not block:
        return h_BHWC
    first, second = block
    inner_BHWC = jax.nn.relu(layers.conv(params, forms, first, h_BHWC))
    return jax.nn.relu(h_BHWC + layers.conv(params, forms, second, inner_BHWC))


class State(NamedTuple):
    params: optimizers.Arrays
    slots: optax.OptState
    program: evidence.Program


Batch = Mapping[str, Array]
SHARES = State(exchange.SHARED, exchange.SHARED, exchange.SHARED)


def build(
    workload: Autoencoder, params: Mapping[str, NDArray[Any]], request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Array]]]]:
    """State with `params` on the device, and the step."""
    named = {name: jnp.array(array) for name, array in params.items()}
    numbers, specs = workload.optimizer(request.cell.optimizer), workload.param_specs()
    training = optimizers.build(numbers, specs, request)
    forms = layers.choose(request)
    function = exchange.compiled(partial(step, workload, forms, training), SHARES, request)
    state = State(named, training.init(named), evidence.Program(forms, function))
    return exchange.laid_out(state, SHARES, request), function


def step(
    workload: Autoencoder, forms: layers.Forms, training: optimizers.Training, state: State, batch: Batch
) -> tuple[State, dict[str, Array]]:
    """One update; the state's memory becomes the new state's."""
    loss = partial(reconstruction, workload, forms, batch["image"])
    value, grads = training.value_and_grad(loss, state.slots)(state.params)
    params, slots = training.apply(grads, state.slots, state.params)
    state = state._replace(params=params, slots=slots)
    return state, {"reconstruction": value} | loss_scale.skipped(state.slots)


def reconstruction(workload: Autoencoder, forms: layers.Forms, x_BHWC: Array, params: layers.Params) -> Array:
    """Squared error, summed over an image and averaged over the batch."""
    y_BHWC = decoder(workload, params, forms, encoder(workload, params, forms, x_BHWC))
    return jnp.square(layers.wide(y_BHWC) - x_BHWC).sum() / len(x_BHWC)


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters and `<slot>/<param>`."""
    return optimizers.export([(state.params, state.slots)], names, device)


def optimisations(state: State) -> dict[str, str | bool]:
    """What was on."""
    return evidence.seen(state.program, state.slots) | evidence.IMAGES


def kernels(workload: Autoencoder, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """None: `best` is the plain form, which XLA fuses by itself."""
    return {}
