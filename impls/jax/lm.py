"""The language model of `bench.workloads.lm`.

Shapes: B batch, T context, V vocabulary, D model width, N heads, K head width, S = T + 1.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray

from bench.spec import Request
from bench.workloads.lm import Lm

from . import backend, evidence, exchange, layers, loss_scale, optimizers


def block(workload: Lm, params: layers.Params, forms: layers.Forms, name: str, h_BTD: Array) -> Array:
    """Attention and perceptron, each behind a layer norm and beside a residual connection."""
    norm = partial(layers.layer_norm, params, eps=workload.norm_eps)
    h_BTD = h_BTD + attention(workload, params, forms, name, norm(f"{name}.norm1", h_BTD))
    return h_BTD + mlp(params, forms, name, norm(f"{name}.norm2", h_BTD))


def attention(workload: Lm, params: layers.Params, forms: layers.Forms, name: str, x_BTD: Array) -> Array:
    heads = (*x_BTD.shape[:2], workload.heads, workload.head_width)
    q, k, v = jnp.split(layers.dense(params, forms, f"{name}.qkv", x_BTD), 3, axis=-1)
    a_BTNK = attend(forms, *(x_BTD.reshape(heads) for x_BTD in (q, k, v)))
    return layers.dense(params, forms, f"{name}.out", a_BTNK.reshape(x_BTD.shape))


def attend(forms: layers.Forms, q_BTNK: Array, k_BTNK: Array, v_BTNK: Array) -> Array:
    """Causal attention of each head, by cuDNN's kernel or written out.

    JAX's own form without cuDNN takes the softmax in float32 whatever the inputs are.
    """
    if forms.fused_attention:
        return jax.nn.dot_product_attention(q_BTNK, k_BTNK, v_BTNK, is_causal=True, implementation="cudnn")
    q_BNTK, k_BNTK, v_BNTK = (x_BTNK.swapaxes(1, 2) for x_BTNK in (q_BTNK, k_BTNK, v_BTNK))
    context, width = q_BNTK.shape[2:]
    score_BNTT = layers.matmul(forms, layers.wide(q_BNTK) / width**0.5, k_BNTK, turned=True)
    causal_TT = jnp.tri(context, dtype=bool)
    weight_BNTT = jax.nn.softmax(jnp.where(causal_TT, layers.wide(score_BNTT), -jnp.inf))
    return layers.matmul(forms, weight_BNTT, v_BNTK).swapaxes(1, 2)


def mlp(params: layers.Params, forms: layers.Forms, name: str, x_BTD: Array) -> Array:
    up_BTF = layers.dense(params, forms, f"{name}.up", x_BTD)
    gelu = partial(jax.nn.gelu, approximate=True)
    return layers.dense(params, forms, f"{name}.down", layers.rounded(gelu, up_BTF))


def logits(workload: Lm, params: layers.Params, forms: layers.Forms, token_BT: Array) -> Array:
    """Tokens to one logit for each of the vocabulary."""
    h_BTD = params["tok"][token_BT] + params["pos"]
    for i in range(workload.layers):
        h_BTD = block(workload, params, forms, f"h{i}", h_BTD)
    h_BTD = layers.layer_norm(params, "norm", h_BTD, workload.norm_eps)
    return layers.matmul(forms, h_BTD, params["tok"], turned=True)


class State(NamedTuple):
    params: optimizers.Arrays
    slots: optax.OptState
    program: evidence.Program


Batch = Mapping[str, Array]
SHARES = State(exchange.SHARED, exchange.SHARED, exchange.SHARED)


def build(
    workload: Lm, params: Mapping[str, NDArray[Any]], request: Request
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
    workload: Lm, forms: layers.Forms, training: optimizers.Training, state: State, batch: Batch
) -> tuple[State, dict[str, Array]]:
    """One update; the state's memory becomes the new state's."""
    loss = partial(cross_entropy, workload, forms, batch["token"])
    value, grads = training.value_and_grad(loss, state.slots)(state.params)
    params, slots = training.apply(grads, state.slots, state.params)
    state = state._replace(params=params, slots=slots)
    return state, {"cross_entropy": value} | loss_scale.skipped(state.slots)


def cross_entropy(workload: Lm, forms: layers.Forms, token_BS: Array, params: layers.Params) -> Array:
    """Mean over the predictions of −log softmax(logits)[next token]."""
    logits_BTV = logits(workload, params, forms, token_BS[:, :-1])
    logits_BTV = layers.wide(logits_BTV)
    picked_BT = jnp.take_along_axis(logits_BTV, token_BS[:, 1:, None], axis=-1)[..., 0]
    return (jax.nn.logsumexp(logits_BTV, axis=-1) - picked_BT).mean()


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters and `<slot>/<param>`."""
    return optimizers.export([(state.params, state.slots)], names, device)


def optimisations(state: State) -> dict[str, str | bool]:
    """What was on; JAX raises where cuDNN is asked for and cannot do it."""
    attention = "cuDNN" if state.program.forms.fused_attention else "softmax written out"
    return evidence.seen(state.program, state.slots) | {"attention": attention}


def kernels(workload: Lm, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """What `best` takes that is not exact in float64; XLA fuses all but attention by itself."""
    return {"attention": partial(run_attention, workload, request)} if layers.choose(request).fused_attention else {}


def run_attention(workload: Lm, request: Request, form: str) -> dict[str, NDArray[Any]]:
    """Attention of two sequences, and its gradients to queries, keys and values, in one of the three forms."""
    exact = replace(request, cell=replace(request.cell, precision="fp64"))
    forms = layers.choose(exact if form == "exact" else request)
    if form == "plain":
        forms = forms._replace(fused_attention=False)
    shape = (2, workload.context, workload.heads, workload.head_width)
    rng = np.random.default_rng(0)
    *inputs, given = (jnp.array(rng.normal(size=shape), dtype=forms.product) for _ in range(4))
    out, pull = jax.vjp(partial(attend, forms), *inputs)
    found = dict(zip(("out", "q", "k", "v"), (out, *pull(given)), strict=True))
    return backend.read({name: x.astype(jnp.float64) for name, x in found.items()})
