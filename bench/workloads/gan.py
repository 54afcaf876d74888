"""A convolutional GAN (Goodfellow et al. 2014; Radford et al. 2016).

Shapes: B batch, Z noise, H and W image sides, C channels. Images are NHWC in [−1, 1]. w is the width, n the number
of the generator's convolutions, m how many of them have stride 2, s = side / 2^m.

Generator G(z), without biases:

    h ← z_BZ · g.dense (Z, s·s·c)           c = w·2^(n−1) channels
    h ← relu(batch_norm(h))                 g.norm0, one statistic for each of the s·s·c features
    h ← reshape (B, s, s, c)                features are ordered H, W, C
    h ← relu(batch_norm(conv_t(h)))         g.conv<i>, g.norm<i> for i < n: to w·2^(n−1−i) channels, one statistic each
    x ← tanh(conv_t(h))                     g.conv<n> → C

Discriminator D(x), a logit, with a bias wherever no norm follows:

    h ← leaky_relu(conv(x) + b)             d.conv1 → w, stride 2
    h ← leaky_relu(conv(h) + b)             d.conv<i> → w·2^(i−1), stride 2, for 2 ≤ i ≤ m; or with `d_norm`:
    h ← leaky_relu(batch_norm(conv(h)))     d.conv<i>, d.norm<i>, one statistic per channel
    y ← flatten(h) · d.dense.w + d.dense.b  flattened in the order H, W, C; one logit

`conv` and `conv_t` are those of `bench.spec.Conv` with SAME padding.
leaky_relu(x) = x if x > 0 else 0.2·x, so its gradient at 0 is 0.2; relu's is 0.

Batch norm over each of G groups of B/G consecutive samples, and over H and W where there are any, with μ and ε
those of the size:

    y = (x − mean) / sqrt(var + ε) · scale + shift,      var the biased (population) variance
    running ← μ·running + (1 − μ)·batch                  mean starts at 0, var (biased too) at 1

Running statistics are updated at every forward pass of their network in training, in the order of the passes,
and exported as `mean/<norm>` and `var/<norm>`: the mean over the groups.

One step has two updates, each with its own optimizer state:

    1. D: loss_d = mean softplus(−D(x)) + mean softplus(D(G(z_d)))     no gradient reaches G
    2. G: loss_g = mean softplus(−D(G(z_g)))                           D as updated in 1, unchanged by 2

That is −log D − log(1 − D) and −log D for probabilities, from logits. The losses that a step
returns are those two, `discriminator` and `generator`, each before its own update. D(x), then D(G(z_d)), and in the
second update D(G(z_g)) is each a forward pass of its own, with batch statistics of its own.

| | kernel | strides of G | d_norm | μ | ε | images |
|---|---|---|---|---|---|---|
| tiny, small | 5×5 | 1, 2, 2 | no | 0.8 | 1e-3 | digits, 28×28×1 |
| base | 4×4 | 2, 2, 2, 2 | yes | 0.9 | 1e-5 | digits resized and tinted, 64×64×3 |
| large | 4×4 | 2, 2, 2, 2, 2 | yes | 0.9 | 1e-5 | the same, 128×128×3 |

`small` is a network for MNIST that is known from a tutorial. Its source text puts an activation before batch norm and
a relu before the leaky one; this is the corrected reading. `base` and `large` are the network of Radford et al., whose
weights start normal with standard deviation 0.02; those of the others start as `glorot` says.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import data
from bench.data.draw import random_normal
from bench.optimizer import Optimizer, Recipe
from bench.spec import Conv, Param, WrongInput, glorot, normal, ones, zeros

DIGITS = Recipe(lr=1e-4, rmsprop_lr=1e-5, sgd_lr=1e-3)
RADFORD = Recipe(lr=2e-4, beta1=0.5, rmsprop_lr=2e-5, sgd_lr=1e-3)


@dataclass(frozen=True, kw_only=True)
class Gan:
    size: str
    batch: int  # real images in one step
    data: str = "digits"
    side: int = 28  # image side
    channels: int = 1
    z: int = 100  # noise numbers for one image
    width: int = 64
    kernel: int = 5
    strides: tuple[int, ...] = (1, 2, 2)  # of the generator's convolutions
    d_norm: bool = False  # batch norm in the discriminator, but for its first layer
    leak: float = 0.2
    norm_momentum: float = 0.8  # share of the old running statistic that is kept
    norm_eps: float = 1e-3
    init_std: float = 0.0  # of weights; 0: Glorot's uniform
    recipe: Recipe = DIGITS

    name = "gan"
    item = "images"
    losses = ("discriminator", "generator")
    default_optimizer = "adam"

    @property
    def seed_side(self) -> int:
        """Side of the image that the generator's dense layer makes."""
        return self.side >> self.strides.count(2)

    @property
    def seed_channels(self) -> int:
        return self.width << (len(self.strides) - 1)

    @property
    def generator(self) -> tuple[Conv, ...]:
        last = len(self.strides)
        convs: list[Conv] = []
        side, inputs = self.seed_side, self.seed_channels
        for i, stride in enumerate(self.strides, start=1):
            outputs = inputs // 2 if i < last else self.channels
            conv = Conv(
                name=f"g.conv{i}", inputs=inputs, outputs=outputs, kernel=self.kernel, stride=stride, side_in=side,
                norm=i < last, transposed=True,
            )  # fmt: skip
            convs.append(conv)
            side, inputs = conv.side_out, outputs
        return tuple(convs)

    @property
    def discriminator(self) -> tuple[Conv, ...]:
        levels = self.strides.count(2)
        return tuple(
            Conv(
                name=f"d.conv{i + 1}", inputs=self.width << (i - 1) if i else self.channels, outputs=self.width << i,
                kernel=self.kernel, stride=2, side_in=self.side >> i, norm=self.d_norm and i > 0,
            )
            for i in range(levels)
        )  # fmt: skip

    @property
    def logit_inputs(self) -> int:
        """Features that the discriminator's dense layer sees."""
        last = self.discriminator[-1]
        return last.side_out**2 * last.outputs

    def param_specs(self) -> dict[str, Param]:
        weight = partial(normal, scale=self.init_std) if self.init_std else glorot
        specs: dict[str, Param] = {}

        def add_norm(name: str, features: int) -> None:
            specs[f"{name}.scale"], specs[f"{name}.shift"] = ones(features), zeros(features)

        for i, conv in enumerate(self.discriminator, start=1):
            specs[f"{conv.name}.w"] = weight(conv.shape)
            if conv.norm:
                add_norm(f"d.norm{i}", conv.outputs)
            else:
                specs[f"{conv.name}.b"] = zeros(conv.outputs)
        specs["d.dense.w"] = weight((self.logit_inputs, 1))
        specs["d.dense.b"] = zeros(1)
        features = self.seed_side**2 * self.seed_channels
        specs["g.dense.w"] = weight((self.z, features))
        add_norm("g.norm0", features)
        for i, conv in enumerate(self.generator, start=1):
            specs[f"{conv.name}.w"] = weight(conv.shape)
            if conv.norm:
                add_norm(f"g.norm{i}", conv.outputs)
        return specs

    def norm_specs(self) -> dict[str, int]:
        """Batch norms by name, with the number of their features: the discriminator's, then the generator's."""
        return {
            name.removesuffix(".scale"): param.shape[0]
            for name, param in self.param_specs().items()
            if name.endswith(".scale")
        }

    def optimizer(self, name: str) -> Optimizer:
        return self.recipe.optimizer(name)

    @property
    def items_per_step(self) -> int:
        return self.batch

    @property
    def flops_per_step(self) -> int:
        """Dense and convolution arithmetic of the two updates; each product forward, to its weights, to its input.

        Update 1: G forward, D forward twice, D's weights twice, D's inputs twice but for the first layer's.
        Update 2: G and D forward, D's inputs, G's weights, G's inputs but for the noise.
        """
        d_first = self.discriminator[0].flops
        d = sum(conv.flops for conv in self.discriminator) + 2 * self.logit_inputs
        g_first = 2 * self.z * self.seed_side**2 * self.seed_channels
        g = g_first + sum(conv.flops for conv in self.generator)
        first = g + 2 * d + 2 * d + 2 * (d - d_first)
        second = g + d + d + g + (g - g_first)
        return self.batch * (first + second)

    def batch_at(self, step: int, seed: int, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Float64: image_BHWC in [−1, 1] and the noise of both updates, z_d_BZ and z_g_BZ."""
        samples = range(start, stop)
        return {
            "image": data.images(self.data, self.side, seed, "gan", step, samples) * 2.0 - 1.0,
            "z_d": np.stack([random_normal(self.z, seed, "gan.z_d", step, sample) for sample in samples]),
            "z_g": np.stack([random_normal(self.z, seed, "gan.z_g", step, sample) for sample in samples]),
        }

    def check(self, norm_groups: int) -> None:
        if self.batch % norm_groups or self.batch // norm_groups < 2:
            raise WrongInput(
                f"gan cannot take a batch of {self.batch} in {norm_groups} norm group(s): batch norm needs at least 2 "
                f"images in each; give --batch a multiple of {norm_groups} of at least {2 * norm_groups}"
            )


def tiny() -> Gan:
    recipe = replace(DIGITS, warmup=5, total=15)
    return Gan(size="tiny", batch=48, z=16, width=8, recipe=recipe)


def small() -> Gan:
    return Gan(size="small", batch=64)


def radford(size: str, batch: int, width: int, side: int, levels: int) -> Gan:
    return Gan(
        size=size, batch=batch, data="tinted digits", side=side, channels=3, width=width, kernel=4,
        strides=(2,) * levels, d_norm=True, norm_momentum=0.9, norm_eps=1e-5, init_std=0.02, recipe=RADFORD,
    )  # fmt: skip


SIZES = {
    "tiny": tiny,
    "small": small,
    "base": partial(radford, "base", batch=128, width=64, side=64, levels=4),
    "large": partial(radford, "large", batch=64, width=128, side=128, levels=5),
    "base-twin": partial(radford, "base-twin", batch=48, width=8, side=64, levels=4),
    "large-twin": partial(radford, "large-twin", batch=48, width=16, side=64, levels=5),
}
