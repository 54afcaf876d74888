"""The language model of `bench.workloads.lm`.

Shapes: B batch, T context, V vocabulary, D model width, N heads, K head width, S = T + 1, M = B·T predictions.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bench.spec import Request
from bench.workloads.lm import Lm

from . import evidence, exchange, layers, loss_scale, optimizers


def logits(workload: Lm, params: layers.Params, forms: layers.Forms, token_BT: tf.Tensor) -> tf.Tensor:
    """Tokens to logits_MV."""
    h_BTD = embed(params["tok"], token_BT) + params["pos"]
    h_MD = tf.reshape(h_BTD, (-1, workload.width))
    for i in range(workload.layers):
        x_MD = layers.layer_norm(params, f"h{i}.norm1", h_MD, workload.norm_eps)
        h_MD += layers.wide(forms, attention(workload, params, forms, f"h{i}", x_MD))
        x_MD = layers.layer_norm(params, f"h{i}.norm2", h_MD, workload.norm_eps)
        h_MD += layers.wide(forms, mlp(params, forms, f"h{i}", x_MD))
    x_MD, tok_VD = layers.narrow(forms, layers.layer_norm(params, "norm", h_MD, workload.norm_eps), params["tok"])
    return layers.wide(forms, tf.matmul(x_MD, tok_VD, transpose_b=True))


def attention(workload: Lm, params: layers.Params, forms: layers.Forms, name: str, x_MD: tf.Tensor) -> tf.Tensor:
    shape = (-1, workload.context, 3, workload.heads, workload.head_width)
    qkv_BT3NK = tf.reshape(layers.dense(params, forms, f"{name}.qkv", x_MD), shape)
    a_BNTK = attend(forms, *tf.unstack(tf.transpose(qkv_BT3NK, (2, 0, 3, 1, 4))))
    a_MD = tf.reshape(tf.transpose(a_BNTK, (0, 2, 1, 3)), x_MD.shape)
    return layers.dense(params, forms, f"{name}.out", a_MD)


def mlp(params: layers.Params, forms: layers.Forms, name: str, x_MD: tf.Tensor) -> tf.Tensor:
    h_MF = layers.gelu(layers.wide(forms, layers.dense(params, forms, f"{name}.up", x_MD)))
    return layers.dense(params, forms, f"{name}.down", h_MF)


def attend(forms: layers.Forms, q_BNTK: tf.Tensor, k_BNTK: tf.Tensor, v_BNTK: tf.Tensor) -> tf.Tensor:
    """Causal attention of each head: four products, between them softmax in the stored type.

    The gradient takes Σ a·da over the keys as Σ o·do over K (Dao et al. 2022): two passes over T×T less. Scaled are
    the queries: TensorFlow's graph optimiser fuses scores that are scaled and then masked, and a tiny step takes 12
    times as long.
    """
    side = q_BNTK.shape[2]
    mask_TT = tf.constant(np.where(np.tri(side, dtype=bool), 0.0, -np.inf), forms.stored)
    wide, narrow = partial(layers.wide, forms), partial(layers.narrow, forms)

    @tf.custom_gradient
    def attention(q_BNTK: tf.Tensor, k_BNTK: tf.Tensor, v_BNTK: tf.Tensor) -> tuple[tf.Tensor, layers.Gradient]:
        (a_BNTT,) = narrow(tf.nn.softmax(wide(tf.matmul(q_BNTK, k_BNTK, transpose_b=True)) + mask_TT))
        o_BNTK = tf.matmul(a_BNTT, v_BNTK)

        def gradient(do_BNTK: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dv_BNTK = tf.matmul(a_BNTT, do_BNTK, transpose_a=True)
            da_BNTT = wide(tf.matmul(do_BNTK, v_BNTK, transpose_b=True))
            mean_BNT1 = tf.reduce_sum(wide(do_BNTK) * wide(o_BNTK), 3, keepdims=True)
            (ds_BNTT,) = narrow((da_BNTT - mean_BNT1) * wide(a_BNTT))
            return tf.matmul(ds_BNTT, k_BNTK), tf.matmul(ds_BNTT, q_BNTK, transpose_a=True), dv_BNTK

        return o_BNTK, gradient

    q_BNTK = wide(q_BNTK)
    return attention(*narrow(q_BNTK * layers.number(q_BNTK.shape[3] ** -0.5, q_BNTK)), k_BNTK, v_BNTK)


@tf.custom_gradient
def embed(tok_VD: tf.Tensor, token_BT: tf.Tensor) -> tuple[tf.Tensor, layers.Gradient]:
    """Rows of the table; its gradient is dense, to be added to that of the logits."""

    def gradient(dh_BTD: tf.Tensor) -> tuple[tf.Tensor, None]:
        return tf.math.unsorted_segment_sum(dh_BTD, token_BT, tok_VD.shape[0]), None

    return tf.gather(tok_VD, token_BT), gradient


@tf.custom_gradient
def cross_entropy(logits_MV: tf.Tensor, next_M: tf.Tensor) -> tuple[tf.Tensor, layers.Gradient]:
    """Mean over the predictions of −log softmax(logits)[next token]; half the time of TensorFlow's on a CPU."""
    count = next_M.shape[0]
    at_M2 = tf.stack((tf.range(count, dtype=next_M.dtype), next_M), 1)
    shifted_MV = logits_MV - tf.reduce_max(logits_MV, 1, keepdims=True)
    exp_MV = tf.exp(shifted_MV)
    sum_M1 = tf.reduce_sum(exp_MV, 1, keepdims=True)
    loss = tf.reduce_mean(tf.math.log(sum_M1[:, 0]) - tf.gather_nd(shifted_MV, at_M2))

    def gradient(dloss: tf.Tensor) -> tuple[tf.Tensor, None]:
        share = dloss * layers.number(1.0 / count, dloss)
        return tf.tensor_scatter_nd_sub(exp_MV * (share / sum_M1), at_M2, tf.fill((count,), share)), None

    return loss, gradient


class Net(NamedTuple):
    """The decoder, with all its variables."""

    workload: Lm
    forms: layers.Forms
    training: optimizers.Training


State = exchange.Compiled  # the variables, which a step changes in place, and the step
Batch = Mapping[str, tf.Tensor]


def build(
    workload: Lm, params: layers.Arrays, request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, tf.Tensor]]]]:
    """State with `params` on the device, and the step."""
    forms, numbers = layers.choose(request), workload.optimizer(request.cell.optimizer)
    shape = (workload.batch, workload.context + 1)

    def make_net() -> Net:
        training = optimizers.build(numbers, params, workload.param_specs(), request, apart=forms.apart)
        return Net(workload, forms, training)

    return exchange.compiled(make_net, updates, [tf.TensorSpec(shape, tf.int64)], request), step


def step(state: State, batch: Batch) -> tuple[State, dict[str, tf.Tensor]]:
    """One update; the state is changed in place."""
    return state, state.graph(batch["token"])


def updates(net: Net, update: exchange.Update, token_BS: tf.Tensor) -> dict[str, tf.Tensor]:
    """One update."""
    losses = {"cross_entropy": update(derive, net, net.training, token_BS)}
    return losses | loss_scale.skipped(net.training.scaling)


def derive(net: Net, token_BS: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The cross-entropy of the predictions of each next token, and its gradients."""
    workload, forms, training = net
    params = optimizers.weights(training)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(params)
        loss = cross_entropy(logits(workload, params, forms, token_BS[:, :-1]), tf.reshape(token_BS[:, 1:], (-1,)))
    gradients = tape.gradient(loss, params, loss_scale.of_loss(training.scaling))
    return loss, optimizers.joined(training, gradients)


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays of one device by the spec's names, in its layout: parameters and slots."""
    return optimizers.export((state.nets[device].training,), names)


def optimisations(state: State) -> dict[str, str | bool]:
    """What was on."""
    return evidence.seen(state) | {"attention": "written out, own gradient"}


def kernels(workload: Lm, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """None: TensorFlow has no fused attention, and its GELU, layer norm and cross-entropy are slower than these."""
    return {}
