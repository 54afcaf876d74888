"""A convolutional GAN (Goodfellow et al. 2014; Radford et al. 2016) on 28×28 digits.

Shapes: B batch, Z noise, H and W image sides, C channels. Images are NHWC in [−1, 1].

Generator G(z), without biases; s is a quarter of the image's side, w the width:

    h ← z_BZ · g.dense (Z, s·s·4w)
    h ← relu(batch_norm(h))                 g.norm0, one statistic for each of the s·s·4w features
    h ← reshape (B, s, s, 4w)               features are ordered H, W, C
    h ← relu(batch_norm(conv_t(h)))         g.conv1 → 2w stride 1, g.norm1, one statistic per channel
    h ← relu(batch_norm(conv_t(h)))         g.conv2 → w stride 2, g.norm2
    x ← tanh(conv_t(h))                     g.conv3 → C stride 2

Discriminator D(x), a logit, with biases:

    h ← leaky_relu(conv(x) + b)             d.conv1 → w stride 2
    h ← leaky_relu(conv(h) + b)             d.conv2 → 2w stride 2
    y ← flatten(h) · d.dense.w + d.dense.b  flattened in the order H, W, C; one logit

`conv` and `conv_t` are those of `bench.spec.Conv`, kernels 5×5 with SAME padding.
leaky_relu(x) = x if x > 0 else 0.2·x, so its gradient at 0 is 0.2; relu's is 0.

Batch norm over each of G groups of B/G consecutive samples, and over H and W where there are any:

    y = (x − mean) / sqrt(var + 1e-3) · scale + shift,   var the biased (population) variance
    running ← 0.8·running + 0.2·batch                    mean starts at 0, var (biased too) at 1

Running statistics are updated at every forward pass of G in training, in the order of the passes,
and exported as `mean/g.norm<i>` and `var/g.norm<i>`: the mean over the groups.

One step has two updates, each with its own Adam state:

    1. D: loss_d = mean softplus(−D(x)) + mean softplus(D(G(z_d)))     no gradient reaches G
    2. G: loss_g = mean softplus(−D(G(z_g)))                           D as updated in 1, unchanged by 2

That is −log D − log(1 − D) and −log D for probabilities, from logits. The losses that a step
returns are those two, `discriminator` and `generator`, each before its own update.
Each of D(x) and D(G(z_d)) is a forward pass of its own. The source text this network is known
from puts an activation before batch norm and a relu before the leaky one; this is the corrected reading.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import data
from bench.spec import Conv, Optimizer, Param, WrongInput, glorot, ones, random_normal, zeros


@dataclass(frozen=True, kw_only=True)
class Gan:
    size: str
    batch: int  # real images in one step
    side: int = 28  # image side
    channels: int = 1
    z: int = 100  # noise numbers for one image
    width: int = 64
    kernel: int = 5
    leak: float = 0.2
    norm_momentum: float = 0.8  # share of the old running statistic that is kept
    norm_eps: float = 1e-3
    lr: float = 1e-4

    name = "gan"
    item = "images"
    network = "gan-mnist"
    losses = ("discriminator", "generator")
    default_optimizer = "adam"

    @property
    def seed_side(self) -> int:
        """Side of the image that the generator's dense layer makes."""
        return self.side // 4

    @property
    def seed_channels(self) -> int:
        return 4 * self.width

    @property
    def generator(self) -> tuple[Conv, ...]:
        s, w, k = self.seed_side, self.width, self.kernel

        def conv(i: int, side: int, inputs: int, outputs: int, stride: int, norm: bool) -> Conv:
            return Conv(
                name=f"g.conv{i}", inputs=inputs, outputs=outputs, kernel=k, stride=stride, side_in=side,
                norm=norm, transposed=True,
            )  # fmt: skip

        return (
            conv(1, s, 4 * w, 2 * w, 1, True),
            conv(2, s, 2 * w, w, 2, True),
            conv(3, 2 * s, w, self.channels, 2, False),
        )

    @property
    def discriminator(self) -> tuple[Conv, ...]:
        w, k = self.width, self.kernel
        return (
            Conv(name="d.conv1", inputs=self.channels, outputs=w, kernel=k, stride=2, side_in=self.side),
            Conv(name="d.conv2", inputs=w, outputs=2 * w, kernel=k, stride=2, side_in=self.side // 2),
        )

    @property
    def logit_inputs(self) -> int:
        """Features that the discriminator's dense layer sees."""
        return self.seed_side**2 * 2 * self.width

    def param_specs(self) -> dict[str, Param]:
        specs: dict[str, Param] = {}
        for conv in self.discriminator:
            specs[f"{conv.name}.w"] = glorot(conv.shape)
            specs[f"{conv.name}.b"] = zeros(conv.outputs)
        specs["d.dense.w"] = glorot((self.logit_inputs, 1))
        specs["d.dense.b"] = zeros(1)
        features = self.seed_side**2 * self.seed_channels
        specs["g.dense.w"] = glorot((self.z, features))
        specs["g.norm0.scale"], specs["g.norm0.shift"] = ones(features), zeros(features)
        for i, conv in enumerate(self.generator, start=1):
            specs[f"{conv.name}.w"] = glorot(conv.shape)
            if conv.norm:
                specs[f"g.norm{i}.scale"], specs[f"g.norm{i}.shift"] = ones(conv.outputs), zeros(conv.outputs)
        return specs

    def norm_specs(self) -> dict[str, int]:
        """Batch norms by name, with the number of their features."""
        return {
            name.removesuffix(".scale"): param.shape[0]
            for name, param in self.param_specs().items()
            if name.endswith(".scale")
        }

    def optimizer(self, name: str) -> Optimizer:
        return Optimizer(name=name, lr=self.lr, weight_decay=0.1 if name == "adamw" else 0.0)

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
        picks = data.pick(len(data.digits()), seed, "gan.image", step, samples)
        return {
            "image": data.digits()[picks][..., None] / 127.5 - 1.0,
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
    return Gan(size="tiny", batch=48, z=16, width=8)


def small() -> Gan:
    return Gan(size="small", batch=64)


SIZES = {"tiny": tiny, "small": small}
