"""The language model of `bench.workloads.lm`.

Shapes: B batch, T context, V vocabulary, D model width, N heads, K head width, S = T + 1.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.precision import MIXED, product, stored
from bench.spec import Request
from bench.workloads.lm import Lm

from . import backend, evidence, exchange, layers, optimizers

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def fused_attention(q_BNTK: Tensor, k_BNTK: Tensor, v_BNTK: Tensor) -> Tensor:
    """Causal attention of each head by the kernel that PyTorch takes for fastest; on a CPU it is exact in float64."""
    return F.scaled_dot_product_attention(q_BNTK, k_BNTK, v_BNTK, is_causal=True)


def plain_attention(mask_TT: Tensor, q_BNTK: Tensor, k_BNTK: Tensor, v_BNTK: Tensor) -> Tensor:
    """Causal attention of each head from matrix products and a softmax, the latter in the mask's precision.

    PyTorch's own such form turns 16-bit queries, keys and values to float32, the products with them.
    """
    scores_BNTT = q_BNTK @ k_BNTK.transpose(2, 3)
    weights_BNTT = torch.add(mask_TT, scores_BNTT, alpha=1.0 / math.sqrt(q_BNTK.shape[3])).softmax(3)
    return weights_BNTT.to(v_BNTK.dtype) @ v_BNTK


def attention_for(request: Request, context: int) -> Attend:
    """The form of attention; on a CPU the fused kernel, but for 16 bits, where it is 1.5 to 3 times as slow."""
    cell = request.cell
    if cell.platform == "cpu":
        plain = cell.precision in MIXED or (cell.variant == "compile" and not fused_compiles())
    else:
        plain = cell.kernels == "plain"
    return partial(plain_attention, causal_mask(request, context)) if plain else fused_attention


def fused_compiles() -> bool:
    """Whether the compiler knows the type that the fused kernel for a CPU gives: PyTorch 2.11's is wrong in float64."""
    q_BNTK = torch.empty(1, 1, 1, 1, dtype=torch.float64, device="meta")
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q_BNTK, q_BNTK, q_BNTK)[1].dtype == q_BNTK.dtype


def causal_mask(request: Request, context: int) -> Tensor:
    """What is added to scores: −∞ where a key is later than the query."""
    kept = getattr(torch, stored(request.cell.precision))
    return torch.full((context, context), -math.inf, dtype=kept, device=exchange.device(request)).triu(1)


class Block(nn.Module):
    """Attention and perceptron, each behind a layer norm and beside a residual connection."""

    def __init__(self, workload: Lm, params: layers.Params, i: int, forms: layers.Forms, attend: Attend) -> None:
        super().__init__()
        self.head_width, self.attend = workload.head_width, attend
        self.norm1 = layers.LayerNorm(params, f"h{i}.norm1", forms.device, workload.norm_eps)
        self.qkv = layers.Dense(params, f"h{i}.qkv", forms)
        self.out = layers.Dense(params, f"h{i}.out", forms)
        self.norm2 = layers.LayerNorm(params, f"h{i}.norm2", forms.device, workload.norm_eps)
        self.up = layers.Dense(params, f"h{i}.up", forms)
        self.down = layers.Dense(params, f"h{i}.down", forms)

    def forward(self, h_BTD: Tensor) -> Tensor:
        h_BTD = h_BTD + self.attention(self.norm1(h_BTD))
        return h_BTD + self.mlp(self.norm2(h_BTD))

    def attention(self, x_BTD: Tensor) -> Tensor:
        q_BTD, k_BTD, v_BTD = self.qkv(x_BTD).chunk(3, dim=-1)
        a_BNTK = self.attend(*(x.unflatten(2, (-1, self.head_width)).transpose(1, 2) for x in (q_BTD, k_BTD, v_BTD)))
        return self.out(a_BNTK.transpose(1, 2).flatten(2))

    def mlp(self, x_BTD: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x_BTD), approximate="tanh"))


class Net(nn.Module):
    """Tokens to logits; its parameters have the spec's names."""

    def __init__(self, workload: Lm, params: layers.Params, forms: layers.Forms, attend: Attend) -> None:
        super().__init__()
        self.tok = layers.parameter(params["tok"], (0, 1), forms.device)
        self.pos = layers.parameter(params["pos"], (0, 1), forms.device)
        self.blocks = [Block(workload, params, i, forms, attend) for i in range(workload.layers)]
        for i, block in enumerate(self.blocks):
            self.add_module(f"h{i}", block)
        self.forms = forms
        self.norm = layers.LayerNorm(params, "norm", forms.device, workload.norm_eps)

    def forward(self, token_BT: Tensor) -> Tensor:
        h_BTD = F.embedding(token_BT, self.tok) + self.pos
        for block in self.blocks:
            h_BTD = block(h_BTD)
        return layers.dense(self.norm(h_BTD), self.tok, None, self.forms).to(self.tok.dtype)


@dataclass(frozen=True, kw_only=True)
class State:
    net: Net
    loss: Callable[[Tensor], Tensor]  # leaves its gradients in the parameters
    update: optimizers.Update
    params: layers.Named
    variant: str


Batch = Mapping[str, Tensor]


def build(
    workload: Lm, params: layers.Params, request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Tensor]]]]:
    """State with `params` on the device, and the step."""
    net = Net(workload, params, layers.choose(request), attention_for(request, workload.context))
    named = layers.named(net)
    update = optimizers.build(workload.optimizer(request.cell.optimizer), named, workload.param_specs(), request)
    loss = backend.program(partial(cross_entropy, net), list(net.parameters()), request, update.scale)
    return State(net=net, loss=loss, update=update, params=named, variant=request.cell.variant), step


def step(state: State, batch: Batch) -> tuple[State, dict[str, Tensor]]:
    """One update; the state is changed in place."""
    loss = state.loss(batch["token"])
    state.update.step()
    return state, {"cross_entropy": loss, **optimizers.skipped(state.update)}


def cross_entropy(net: nn.Module, token_BS: Tensor) -> Tensor:
    """Mean over the predictions of −log softmax(logits)[next token]."""
    logits_BTV = net(token_BS[:, :-1])
    return F.cross_entropy(logits_BTV.flatten(0, 1), token_BS[:, 1:].flatten())


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters and slots."""
    del device  # a process has one
    wanted = optimizers.names(state.params, state.update) if names is None else names
    return optimizers.export(state.params, [state.update], wanted)


def optimisations(state: State) -> dict[str, str | bool]:
    """What is on, asked of PyTorch where it can be."""
    block = state.net.blocks[0]
    shape = (1, 1, state.net.pos.shape[0], block.head_width)
    q_BNTK = state.net.tok.new_zeros(shape, dtype=state.net.forms.product, requires_grad=True)
    kernel = evidence.kernel_of(block.attend(q_BNTK, q_BNTK, q_BNTK))
    found = evidence.seen(state.net, state.net.forms, state.variant, [state.update], [state.loss])
    straight = "1×1 convolutions of sequences" if state.net.forms.sequences_by_conv else "as they lie"
    return found | {"attention": kernel, "matrix_products": straight}


def kernels(workload: Lm, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """What `best` takes that is not exact in float64; on a CPU nothing."""
    if request.cell.platform == "cpu" or request.cell.kernels == "plain":
        return {}
    return {"attention": partial(run_attention, workload, request)}


def run_attention(workload: Lm, request: Request, form: str) -> dict[str, NDArray[Any]]:
    """Attention of two sequences, and its gradients to queries, keys and values, in one of the three forms."""
    exact = replace(request, cell=replace(request.cell, precision="fp64"))
    chosen = exact if form == "exact" else request
    dtype, where = getattr(torch, product(chosen.cell.precision)), exchange.device(request)
    attend = partial(plain_attention, causal_mask(chosen, workload.context))
    shape = (2, workload.heads, workload.context, workload.head_width)
    rng = np.random.default_rng(0)
    q, k, v, given = (torch.tensor(rng.normal(size=shape), dtype=dtype, device=where) for _ in range(4))
    inputs = [x.requires_grad_() for x in (q, k, v)]
    out = (fused_attention if form == "best" else attend)(*inputs)
    gradients = torch.autograd.grad(out, inputs, given)
    return backend.read(dict(zip(("out", "q", "k", "v"), (x.double() for x in (out, *gradients)), strict=True)))
