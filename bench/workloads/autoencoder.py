"""A convolutional autoencoder (Hinton & Salakhutdinov 2006; Masci et al. 2011) on 28×28 digits.

Shapes: B batch, H and W image sides, C channels. Images are NHWC in [0, 1]. Every layer has a bias.

Encoder, with s the side of the last image and c its channels:

    h ← relu(conv(x) + b)                     enc.conv1 …, stride 2 each
    code ← flatten(h) · enc.dense.w + b       linear; flattened in the order H, W, C

Decoder, the mirror image:

    h ← relu(code · dec.dense.w + b)          (code, s·s·c)
    h ← reshape (B, s, s, c)                  features are ordered H, W, C
    h ← relu(conv_t(h) + b)                   dec.conv1 …, stride 2 each, all but the last
    y ← sigmoid(conv_t(h) + b)                the last: back to the image's channels

`conv` and `conv_t` are those of `bench.spec.Conv`, kernels 4×4 with SAME padding, which is (1, 1) here.
relu's gradient at 0 is 0. No batch norm.

The loss `reconstruction` is the mean over the batch of the squared error summed over an image:
L = 1/B · Σ (y − x)². One update.
"""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bench import data
from bench.spec import Conv, Optimizer, Param, glorot, zeros


@dataclass(frozen=True, kw_only=True)
class Autoencoder:
    size: str
    batch: int  # images in one step
    side: int = 28  # image side
    channels: int = 1
    widths: tuple[int, ...]  # channels after each convolution of the encoder
    code: int  # numbers in the code
    kernel: int = 4
    lr: float = 1e-3

    name = "autoencoder"
    item = "images"
    network = "autoencoder-mnist"
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

        for conv in self.encoder:
            add(conv.name, conv.shape)
        add("enc.dense", (self.features, self.code))
        add("dec.dense", (self.code, self.features))
        for conv in self.decoder:
            add(conv.name, conv.shape)
        return specs

    def optimizer(self, name: str) -> Optimizer:
        return Optimizer(name=name, lr=self.lr, weight_decay=0.1 if name == "adamw" else 0.0)

    @property
    def items_per_step(self) -> int:
        return self.batch

    @property
    def flops_per_step(self) -> int:
        """Dense and convolution arithmetic: forward, to the weights, to the inputs but for the image."""
        dense = 2 * 2 * self.features * self.code
        forward = dense + sum(conv.flops for conv in self.encoder + self.decoder)
        return self.batch * (3 * forward - self.encoder[0].flops)

    def batch_at(self, step: int, seed: int, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Float64: image_BHWC in [0, 1]."""
        picks = data.pick(len(data.digits()), seed, "autoencoder.image", step, range(start, stop))
        return {"image": data.digits()[picks][..., None] / 255.0}

    def check(self, norm_groups: int) -> None:
        """Any batch of at least one image will do."""


def tiny() -> Autoencoder:
    return Autoencoder(size="tiny", batch=48, widths=(8, 16), code=16)


def small() -> Autoencoder:
    return Autoencoder(size="small", batch=128, widths=(32, 64), code=64)


SIZES = {"tiny": tiny, "small": small}
