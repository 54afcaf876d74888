"""The language model of `bench.workloads.lm`.

Shapes: B batch, T context, V vocabulary, D model width, N heads, K head width, S = T + 1.
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
from bench.workloads.lm import Lm

from . import backend, layers, optimizers


def block(workload: Lm, params: layers.Params, name: str, h_BTD: Array) -> Array:
    """Attention and perceptron, each behind a layer norm and beside a residual connection."""
    norm = partial(layers.layer_norm, params, eps=workload.norm_eps)
    h_BTD = h_BTD + attention(workload, params, name, norm(f"{name}.norm1", h_BTD))
    return h_BTD + mlp(params, name, norm(f"{name}.norm2", h_BTD))


def attention(workload: Lm, params: layers.Params, name: str, x_BTD: Array) -> Array:
    heads = (*x_BTD.shape[:2], workload.heads, workload.head_width)
    q, k, v = jnp.split(layers.dense(params, f"{name}.qkv", x_BTD), 3, axis=-1)
    a_BNTK = attend(*(x_BTD.reshape(heads).swapaxes(1, 2) for x_BTD in (q, k, v)))
    return layers.dense(params, f"{name}.out", a_BNTK.swapaxes(1, 2).reshape(x_BTD.shape))


def attend(q_BNTK: Array, k_BNTK: Array, v_BNTK: Array) -> Array:
    """Causal attention of each head; JAX's own takes the softmax in float32 whatever the inputs are."""
    context, width = q_BNTK.shape[2:]
    score_BNTT = (q_BNTK / width**0.5) @ k_BNTK.swapaxes(2, 3)
    causal_TT = jnp.tri(context, dtype=bool)
    return jax.nn.softmax(jnp.where(causal_TT, score_BNTT, -jnp.inf)) @ v_BNTK


def mlp(params: layers.Params, name: str, x_BTD: Array) -> Array:
    return layers.dense(
        params, f"{name}.down", jax.nn.gelu(layers.dense(params, f"{name}.up", x_BTD), approximate=True)
    )


def logits(workload: Lm, params: layers.Params, token_BT: Array) -> Array:
    """Tokens to one logit for each of the vocabulary."""
    h_BTD = params["tok"][token_BT] + params["pos"]
    for i in range(workload.layers):
        h_BTD = block(workload, params, f"h{i}", h_BTD)
    return layers.layer_norm(params, "norm", h_BTD, workload.norm_eps) @ params["tok"].T


class State(NamedTuple):
    params: optimizers.Arrays
    slots: optax.OptState


Batch = Mapping[str, Array]


def build(
    workload: Lm, params: Mapping[str, NDArray[Any]], request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Array]]]]:
    """State with `params` on the device, and the step."""
    named = {name: jnp.array(array) for name, array in params.items()}
    optimizer = optimizers.build(workload.optimizer(request.cell.optimizer), workload.param_specs())
    return State(named, optimizer.init(named)), jax.jit(partial(step, workload, optimizer), donate_argnums=0)


def step(
    workload: Lm, optimizer: optax.GradientTransformation, state: State, batch: Batch
) -> tuple[State, dict[str, Array]]:
    """One update; the state's memory becomes the new state's."""
    loss, grads = jax.value_and_grad(partial(cross_entropy, workload))(state.params, batch["token"])
    return State(*optimizers.apply(optimizer, grads, state.slots, state.params)), {"cross_entropy": loss}


def cross_entropy(workload: Lm, params: layers.Params, token_BS: Array) -> Array:
    """Mean over the predictions of −log softmax(logits)[next token]."""
    logits_BTV = logits(workload, params, token_BS[:, :-1])
    picked_BT = jnp.take_along_axis(logits_BTV, token_BS[:, 1:, None], axis=-1)[..., 0]
    return (jax.nn.logsumexp(logits_BTV, axis=-1) - picked_BT).mean()


def export(state: State, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters and `<slot>/<param>`."""
    return optimizers.export([(state.params, state.slots)], names)


def optimisations(state: State) -> dict[str, str | bool]:
    """What was on."""
    return {
        "jit": True,
        "donation": backend.donates(),
        "fused_optimizer": "by XLA",  # all of the step is one program
        "attention": "softmax written out",
    }


def kernels(workload: Lm, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """None: `best` is the plain form. cuDNN's attention takes 16-bit numbers alone; XLA fuses the rest by itself."""
    return {}
