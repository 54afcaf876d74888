"""A decoder-only transformer language model (Vaswani et al. 2017; Radford et al. 2019) on bytes of English.

Shapes: B batch, T context, V vocabulary, D model width, N heads, K head width (D = N·K), F = 4·D, L layers.

    h_BTD ← tok_VD[token_BT] + pos_TD
    for each layer i:
        h ← h + attention(layer_norm(h))        h<i>.norm1, h<i>.qkv, h<i>.out
        h ← h + mlp(layer_norm(h))              h<i>.norm2, h<i>.up, h<i>.down
    logits_BTV ← layer_norm(h) · tok_VDᵀ        norm; the embedding is tied, without a bias

    attention(x): q, k, v ← x · qkv.w (D, 3·D) + qkv.b, the columns being all of q, then k, then v, and within
        each the heads one after another; a_BNTT ← softmax over the keys of q·kᵀ / sqrt(K), keys after the
        query left out; the heads' a·v one after another · out.w (D, D) + out.b
    mlp(x): gelu(x · up.w (D, F) + up.b) · down.w (F, D) + down.b
    gelu(x) = 0.5·x·(1 + tanh(sqrt(2/π)·(x + 0.044715·x³)))
    layer_norm(x) = (x − mean) / sqrt(var + 1e-5) · scale + shift over D, var the biased variance

No dropout. The loss `cross_entropy` is the mean over the B·T predictions of −log softmax(logits)[next token],
in nats: the token at position t predicts the one at t + 1. One update.

Matrices and embeddings start normal with standard deviation 0.02, `out.w` and `down.w` with
0.02 / sqrt(2·L); biases at zero, norms at one and zero. Weight decay applies to matrices and embeddings.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import data
from bench.spec import Optimizer, Param, ones, zeros


@dataclass(frozen=True, kw_only=True)
class Lm:
    size: str
    batch: int  # sequences in one step
    layers: int
    heads: int
    width: int
    context: int  # tokens that one sequence predicts
    vocabulary: int = 256
    norm_eps: float = 1e-5
    lr: float = 3e-4

    name = "lm"
    item = "tokens"
    network = "lm-gpt2"
    losses = ("cross_entropy",)
    default_optimizer = "adamw"

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def param_specs(self) -> dict[str, Param]:
        d, residual = self.width, 0.02 / (2 * self.layers) ** 0.5

        def normal(*shape: int, scale: float = 0.02) -> Param:
            return Param(shape=shape, init="normal", scale=scale, decay=True)

        specs = {"tok": normal(self.vocabulary, d), "pos": normal(self.context, d)}
        for i in range(self.layers):
            specs |= {
                f"h{i}.norm1.scale": ones(d), f"h{i}.norm1.shift": zeros(d),
                f"h{i}.qkv.w": normal(d, 3 * d), f"h{i}.qkv.b": zeros(3 * d),
                f"h{i}.out.w": normal(d, d, scale=residual), f"h{i}.out.b": zeros(d),
                f"h{i}.norm2.scale": ones(d), f"h{i}.norm2.shift": zeros(d),
                f"h{i}.up.w": normal(d, 4 * d), f"h{i}.up.b": zeros(4 * d),
                f"h{i}.down.w": normal(4 * d, d, scale=residual), f"h{i}.down.b": zeros(d),
            }  # fmt: skip
        return specs | {"norm.scale": ones(d), "norm.shift": zeros(d)}

    def optimizer(self, name: str) -> Optimizer:
        return Optimizer(name=name, lr=self.lr, beta2=0.95, weight_decay=0.1 if name == "adamw" else 0.0)

    @property
    def items_per_step(self) -> int:
        return self.batch * self.context

    @property
    def flops_per_step(self) -> int:
        """Matrix products forward, to their weights and to their inputs; look-ups and norms are not counted.

        For each token 2·(12·L·D² + V·D) and, in attention, 4·L·T·D: the whole T×T square, causality not halved.
        """
        weights = 12 * self.layers * self.width**2 + self.vocabulary * self.width
        attention = 2 * self.layers * self.context * self.width
        return 3 * 2 * (weights + attention) * self.items_per_step

    def batch_at(self, step: int, seed: int, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Int32: token_BS with S = T + 1; positions 0 … T−1 are inputs, 1 … T what they predict."""
        text = data.text()
        starts = data.pick(len(text) - self.context, seed, "lm.token", step, range(start, stop))
        return {"token": text[starts[:, None] + np.arange(self.context + 1)].astype(np.int32)}

    def check(self, norm_groups: int) -> None:
        """Any batch of at least one sequence will do."""


def tiny() -> Lm:
    return Lm(size="tiny", batch=48, layers=2, heads=2, width=64, context=64)


def small() -> Lm:
    return Lm(size="small", batch=64, layers=6, heads=6, width=384, context=256)


SIZES = {"tiny": tiny, "small": small}
