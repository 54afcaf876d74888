"""The language model of `bench.workloads.lm`.

Shapes: B batch, T context, V vocabulary, D model width, N heads, K head width, S = T + 1.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.spec import Request
from bench.workloads.lm import Lm

from . import layers, optimizers


class Block(nn.Module):
    """Attention and perceptron, each behind a layer norm and beside a residual connection."""

    def __init__(self, workload: Lm, params: layers.Params, i: int, device: torch.device) -> None:
        super().__init__()
        self.head_width = workload.head_width
        self.norm1 = layers.LayerNorm(params, f"h{i}.norm1", device, workload.norm_eps)
        self.qkv = layers.Dense(params, f"h{i}.qkv", device)
        self.out = layers.Dense(params, f"h{i}.out", device)
        self.norm2 = layers.LayerNorm(params, f"h{i}.norm2", device, workload.norm_eps)
        self.up = layers.Dense(params, f"h{i}.up", device)
        self.down = layers.Dense(params, f"h{i}.down", device)

    def forward(self, h_BTD: Tensor) -> Tensor:
        h_BTD = h_BTD + self.attention(self.norm1(h_BTD))
        return h_BTD + self.mlp(self.norm2(h_BTD))

    def attention(self, x_BTD: Tensor) -> Tensor:
        q_BTD, k_BTD, v_BTD = self.qkv(x_BTD).chunk(3, dim=-1)
        a_BNTK = attend(*(x.unflatten(2, (-1, self.head_width)).transpose(1, 2) for x in (q_BTD, k_BTD, v_BTD)))
        return self.out(a_BNTK.transpose(1, 2).flatten(2))

    def mlp(self, x_BTD: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x_BTD), approximate="tanh"))


def attend(q_BNTK: Tensor, k_BNTK: Tensor, v_BNTK: Tensor) -> Tensor:
    """Causal attention of each head."""
    return F.scaled_dot_product_attention(q_BNTK, k_BNTK, v_BNTK, is_causal=True)


class Net(nn.Module):
    """Tokens to logits; its parameters have the spec's names."""

    def __init__(self, workload: Lm, params: layers.Params, device: torch.device) -> None:
        super().__init__()
        self.tok = layers.parameter(params["tok"], (0, 1), device)
        self.pos = layers.parameter(params["pos"], (0, 1), device)
        self.blocks = [Block(workload, params, i, device) for i in range(workload.layers)]
        for i, block in enumerate(self.blocks):
            self.add_module(f"h{i}", block)
        self.norm = layers.LayerNorm(params, "norm", device, workload.norm_eps)

    def forward(self, token_BT: Tensor) -> Tensor:
        h_BTD = F.embedding(token_BT, self.tok) + self.pos
        for block in self.blocks:
            h_BTD = block(h_BTD)
        return layers.dense(self.norm(h_BTD), self.tok)


@dataclass(frozen=True, kw_only=True)
class State:
    net: Net
    optimizer: torch.optim.Optimizer
    params: layers.Named


Batch = Mapping[str, Tensor]


def build(
    workload: Lm, params: layers.Params, request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Tensor]]]]:
    """State with `params` on the device, and the step."""
    net = Net(workload, params, torch.device(request.cell.platform))
    named = layers.named(net)
    optimizer = optimizers.build(workload.optimizer(request.cell.optimizer), named, workload.param_specs())
    return State(net=net, optimizer=optimizer, params=named), step


def step(state: State, batch: Batch) -> tuple[State, dict[str, Tensor]]:
    """One update; the state is changed in place."""
    loss = cross_entropy(state.net, batch["token"])
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    return state, {"cross_entropy": loss.detach()}


def cross_entropy(net: nn.Module, token_BS: Tensor) -> Tensor:
    """Mean over the predictions of −log softmax(logits)[next token]."""
    logits_BTV = net(token_BS[:, :-1])
    return F.cross_entropy(logits_BTV.flatten(0, 1), token_BS[:, 1:].flatten())


def export(state: State, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters and `m/`, `v/` slots."""
    wanted = optimizers.names(state.params) if names is None else names
    return optimizers.export(state.params, [state.optimizer], wanted)


def optimisations(state: State) -> dict[str, str | bool]:
    """What is on, asked of PyTorch where it can be."""
    width = state.net.blocks[0].head_width
    q_BNTK = state.net.tok.new_zeros(1, 1, state.net.pos.shape[0], width, requires_grad=True)
    kernel = attend(q_BNTK, q_BNTK, q_BNTK).grad_fn
    return {
        "jit": False,
        "fused_optimizer": optimizers.fused(state.optimizer),
        "attention": "" if kernel is None else kernel.name(),
    }
