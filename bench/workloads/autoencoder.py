"""A convolutional autoencoder (Hinton & Salakhutdinov 2006; Masci et al. 2011).

Shapes: B batch, H and W image sides, C channels. Images are NHWC in [0, 1]. Every layer has a bias.

Encoder, with s the side of the last image and c its channels:

    h ← relu(conv(x) + b)                     enc.conv1 …, kernels 4×4, stride 2 each
    h ← block(h)                              with `residual`: after each of these, enc.block1 …
    code ← flatten(h) · enc.dense.w + b       linear; flattened in the order H, W, C

Decoder, the mirror image:

    h ← relu(code · dec.dense.w + b)          (code, s·s·c)
    h ← reshape (B, s, s, c)                  features are ordered H, W, C
    h ← block(h)                              with `residual`: before each of those that follow, dec.block1 …
    h ← relu(conv_t(h) + b)                   dec.conv1 …, kernels 4×4, stride 2 each, all but the last
    y ← sigmoid(conv_t(h) + b)                the last: back to the image's channels

    block(h) = relu(h + conv(relu(conv(h) + b)) + b)      <net>.block<i>a, then <net>.block<i>b: kernels 3×3, stride 1

`conv` and `conv_t` are those of `bench.spec.Conv` with SAME padding, which is (1, 1) for both kernels.
relu's gradient at 0 is 0. No batch norm.

The loss `reconstruction` is the mean over the batch of the squared error summed over an image:
L = 1/B · Σ (y − x)². One update.

`tiny` and `small` take digits, 28×28×1; `base` has four levels on digits resized and tinted, 64×64×3; `large` has five
levels with residual blocks (He et al. 2016) on 256×256×3.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from bench import data
from bench.optimizer import Optimizer, Recipe
from bench.spec import Conv, Param, glorot, zeros

RECIPE = Recipe(lr=1e-3, rmsprop_lr=1e-5, sgd_lr=1e-4)


@dataclass(frozen=True, kw_only=True)
class Autoencoder:
    size: str
    batch: int  # images in one step
    data: str = "digits"
    side: int = 28  # image side
    channels: int = 1
    widths: tuple[int, ...]  # channels after each strided convolution of the encoder
    code: int  # numbers in the code
    kernel: int = 4
    residual: bool = False
    recipe: Recipe = RECIPE

    name = "autoencoder"
    item = "images"
    losses = ("reconstruction",)
    default_optimizer = "adam"

    @property
    def encoder(self) -> tuple[Conv, ...]:
        channels = (self.channels, *self.widths)
        return tuple(
            Conv(
                name=f"enc.conv{i + 1}", inputs=channels[i], outputs=channels[i + 1],
                kernel=self.kernel, stride=2, side_in=self.side >> i,
            )
            for i in range(len(self.widths))
        )  # fmt: skip

    @property
    def decoder(self) -> tuple[Conv, ...]:
        return tuple(
            Conv(
                name=f"dec.conv{i + 1}", inputs=conv.outputs, outputs=conv.inputs,
                kernel=self.kernel, stride=2, side_in=conv.side_out, transposed=True,
            )
            for i, conv in enumerate(reversed(self.encoder))
        )  # fmt: skip

    @property
    def encoder_blocks(self) -> tuple[tuple[Conv, ...], ...]:
        """After each convolution of the encoder the two of a residual block, or none."""
        sides = [(conv.side_out, conv.outputs) for conv in self.encoder]
        return tuple(self._block(f"enc.block{i}", *of) for i, of in enumerate(sides, start=1))

    @property
    def decoder_blocks(self) -> tuple[tuple[Conv, ...], ...]:
        """Before each convolution of the decoder the two of a residual block, or none."""
        sides = [(conv.side_in, conv.inputs) for conv in self.decoder]
        return tuple(self._block(f"dec.block{i}", *of) for i, of in enumerate(sides, start=1))

    def _block(self, name: str, side: int, channels: int) -> tuple[Conv, ...]:
        if not self.residual:
            return ()
        return tuple(
            Conv(name=f"{name}{part}", inputs=channels, outputs=channels, kernel=3, stride=1, side_in=side)
            for part in "ab"
        )

    @property
    def convs(self) -> tuple[Conv, ...]:
        """All of them, in the order of the forward pass."""
        first = [(conv, *block) for conv, block in zip(self.encoder, self.encoder_blocks, strict=True)]
        last = [(*block, conv) for conv, block in zip(self.decoder, self.decoder_blocks, strict=True)]
        return tuple(conv for group in (*first, *last) for conv in group)

    @property
    def seed_side(self) -> int:
        """Side of the last image of the encoder, the first of the decoder."""
        return self.encoder[-1].side_out

    @property
    def seed_channels(self) -> int:
        return self.widths[-1]

    @property
    def features(self) -> int:
        """Numbers in that image."""
        return self.seed_side**2 * self.seed_channels

    def param_specs(self) -> dict[str, Param]:
        specs: dict[str, Param] = {}

        def add(name: str, shape: tuple[int, ...]) -> None:
            specs[f"{name}.w"], specs[f"{name}.b"] = glorot(shape), zeros(shape[-1])

        encoder = [conv for conv in self.convs if conv.name.startswith("enc.")]
        for conv in encoder:
            add(conv.name, conv.shape)
        add("enc.dense", (self.features, self.code))
        add("dec.dense", (self.code, self.features))
        for conv in self.convs[len(encoder) :]:
            add(conv.name, conv.shape)
        return specs

    def optimizer(self, name: str) -> Optimizer:
        return self.recipe.optimizer(name)

    @property
    def items_per_step(self) -> int:
        return self.batch

    @property
    def flops_per_step(self) -> int:
        """Dense and convolution arithmetic: forward, to the weights, to the inputs but for the image."""
        dense = 2 * 2 * self.features * self.code
        forward = dense + sum(conv.flops for conv in self.convs)
        return self.batch * (3 * forward - self.encoder[0].flops)

    def batch_at(self, step: int, seed: int, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Float64: image_BHWC in [0, 1]."""
        return {"image": data.images(self.data, self.side, seed, "autoencoder", step, range(start, stop))}

    def check(self, norm_groups: int) -> None:
        """Any batch of at least one image will do."""


def digits(size: str, batch: int, widths: tuple[int, ...], code: int, recipe: Recipe = RECIPE) -> Autoencoder:
    return Autoencoder(size=size, batch=batch, widths=widths, code=code, recipe=recipe)


def base(size: str, batch: int, width: int, code: int) -> Autoencoder:
    widths = tuple(width << i for i in range(4))
    return Autoencoder(size=size, batch=batch, data="tinted digits", side=64, channels=3, widths=widths, code=code)


def large(size: str, batch: int, width: int, code: int, side: int) -> Autoencoder:
    widths = (width, 2 * width, 4 * width, 8 * width, 8 * width)
    return Autoencoder(
        size=size, batch=batch, data="tinted digits", side=side, channels=3, widths=widths, code=code, residual=True
    )


SIZES = {
    "tiny": partial(digits, "tiny", 48, (8, 16), 16, replace(RECIPE, warmup=5, total=15)),
    "small": partial(digits, "small", 128, (32, 64), 64),
    "base": partial(base, "base", 128, width=64, code=256),
    "large": partial(large, "large", 32, width=64, code=512, side=256),
    "base-twin": partial(base, "base-twin", 48, width=8, code=32),
    "large-twin": partial(large, "large-twin", 48, width=8, code=64, side=64),
}
