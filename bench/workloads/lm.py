"""A decoder-only transformer language model (Vaswani et al. 2017; Radford et al. 2019).

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

`tiny` and `small` take the bytes of English text; `base` and `large` are GPT-2 with 124 and 355 million parameters, its
50,257 tokens padded to 50,304, on tokens drawn at random: the one of rank k (its number, from 1) with a probability
proportional to 1/k (Zipf 1949).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from bench import data
from bench.optimizer import Optimizer, Recipe
from bench.spec import Param, normal, ones, zeros

RECIPE = Recipe(lr=3e-4, beta2=0.95, rmsprop_lr=1e-5, sgd_lr=1e-2)


@dataclass(frozen=True, kw_only=True)
class Lm:
    size: str
    batch: int  # sequences in one step
    data: str = "text"
    layers: int
    heads: int
    width: int
    context: int  # tokens that one sequence predicts
    vocabulary: int = 256
    norm_eps: float = 1e-5
    recipe: Recipe = RECIPE

    name = "lm"
    item = "tokens"
    losses = ("cross_entropy",)
    default_optimizer = "adamw"

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def param_specs(self) -> dict[str, Param]:
        d, std = self.width, 0.02
        residual = std / (2 * self.layers) ** 0.5
        specs = {"tok": normal((self.vocabulary, d), std), "pos": normal((self.context, d), std)}
        for i in range(self.layers):
            specs |= {
                f"h{i}.norm1.scale": ones(d), f"h{i}.norm1.shift": zeros(d),
                f"h{i}.qkv.w": normal((d, 3 * d), std), f"h{i}.qkv.b": zeros(3 * d),
                f"h{i}.out.w": normal((d, d), residual), f"h{i}.out.b": zeros(d),
                f"h{i}.norm2.scale": ones(d), f"h{i}.norm2.shift": zeros(d),
                f"h{i}.up.w": normal((d, 4 * d), std), f"h{i}.up.b": zeros(4 * d),
                f"h{i}.down.w": normal((4 * d, d), residual), f"h{i}.down.b": zeros(d),
            }  # fmt: skip
        return specs | {"norm.scale": ones(d), "norm.shift": zeros(d)}

    def optimizer(self, name: str) -> Optimizer:
        return self.recipe.optimizer(name)

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
        return {"token": data.tokens(self.data, self.context + 1, self.vocabulary, seed, step, range(start, stop))}

    def check(self, norm_groups: int) -> None:
        """Any batch of at least one sequence will do."""


def small_lm(size: str, batch: int, layers: int, width: int, context: int, recipe: Recipe = RECIPE) -> Lm:
    return Lm(size=size, batch=batch, layers=layers, heads=layers, width=width, context=context, recipe=recipe)


def gpt2(size: str, batch: int, layers: int, heads: int, shrink: int = 1) -> Lm:
    """GPT-2 with heads of 64; its twin has a width and a vocabulary that are `shrink` times smaller, and context 64."""
    return Lm(
        size=size, batch=batch, data="zipf tokens", layers=layers, heads=heads, width=64 * heads // shrink,
        context=1024 if shrink == 1 else 64, vocabulary=50304 // shrink,
    )  # fmt: skip


SIZES = {
    "tiny": partial(small_lm, "tiny", 48, 2, 64, 64, replace(RECIPE, warmup=5, total=15)),
    "small": partial(small_lm, "small", 64, 6, 384, 256),
    "base": partial(gpt2, "base", 16, layers=12, heads=12),
    "large": partial(gpt2, "large", 8, layers=24, heads=16),
    "base-twin": partial(gpt2, "base-twin", 48, layers=12, heads=12, shrink=8),
    "large-twin": partial(gpt2, "large-twin", 48, layers=24, heads=16, shrink=8),
}
