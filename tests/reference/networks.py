"""The three networks of `bench.workloads`, from a dataclass's numbers and its module's docstring to the losses.

Shapes: as there; p holds parameters by name. Layers are counted and sized here, not taken from the dataclass.
"""

import numpy as np
from numpy.typing import NDArray

from bench.workloads.autoencoder import Autoencoder
from bench.workloads.gan import Gan
from bench.workloads.lm import Lm
from tests.reference import layers
from tests.reference.layers import Array

Params = dict[str, Array]
Statistics = dict[str, tuple[Array, Array]]  # mean_GC and var_GC of one forward pass, by norm


class Norms:
    """The batch norms of one forward pass, which keep the statistics of the batch."""

    def __init__(self, gan: Gan, p: Params, groups: int) -> None:
        self.gan, self.p, self.groups = gan, p, groups
        self.statistics: Statistics = {}

    def __call__(self, name: str, x: Array) -> Array:
        scale, shift = self.p[f"{name}.scale"], self.p[f"{name}.shift"]
        y, mean, var = layers.batch_norm(x, scale, shift, self.gan.norm_eps, self.groups)
        self.statistics[name] = mean, var
        return y


def generate(gan: Gan, p: Params, z_BZ: Array, groups: int) -> tuple[Array, Statistics]:
    """G(z): images_BHWC, and the statistics of this pass."""
    norm, last = Norms(gan, p, groups), len(gan.strides)
    side = gan.side // 2 ** sum(stride == 2 for stride in gan.strides)
    channels = gan.width * 2 ** (last - 1)
    h = layers.relu(norm("g.norm0", z_BZ @ p["g.dense.w"])).reshape(-1, side, side, channels)
    for i, stride in enumerate(gan.strides[:-1], start=1):
        h = layers.relu(norm(f"g.norm{i}", layers.conv_t(h, p[f"g.conv{i}.w"], stride)))
    return np.tanh(layers.conv_t(h, p[f"g.conv{last}.w"], gan.strides[-1])), norm.statistics


def discriminate(gan: Gan, p: Params, x_BHWC: Array, groups: int) -> tuple[Array, Statistics]:
    """D(x): logits_B, and the statistics of this pass."""
    norm, h = Norms(gan, p, groups), x_BHWC
    for i in range(1, 1 + sum(stride == 2 for stride in gan.strides)):
        h = layers.conv(h, p[f"d.conv{i}.w"], 2)
        h = norm(f"d.norm{i}", h) if gan.d_norm and i > 1 else h + p[f"d.conv{i}.b"]
        h = layers.leaky_relu(h, 0.2)
    logits_B1 = h.reshape(len(h), -1) @ p["d.dense.w"] + p["d.dense.b"]
    return logits_B1[:, 0], norm.statistics


def discriminator_loss(gan: Gan, p: Params, real_BHWC: Array, fake_BHWC: Array, groups: int) -> Array:
    """Mean softplus(−D(x)) + mean softplus(D(G(z_d))), the generated images given: no gradient reaches G."""
    real_B, _ = discriminate(gan, p, real_BHWC, groups)
    fake_B, _ = discriminate(gan, p, fake_BHWC, groups)
    return layers.softplus(-real_B).mean() + layers.softplus(fake_B).mean()


def generator_loss(gan: Gan, p: Params, z_BZ: Array, groups: int) -> Array:
    """Mean softplus(−D(G(z_g)))."""
    image_BHWC, _ = generate(gan, p, z_BZ, groups)
    logits_B, _ = discriminate(gan, p, image_BHWC, groups)
    return layers.softplus(-logits_B).mean()


def reconstruct(workload: Autoencoder, p: Params, image_BHWC: Array) -> Array:
    """The autoencoder's output y_BHWC."""

    def block(name: str, h: Array) -> Array:
        if not workload.residual:
            return h
        inner = layers.relu(layers.conv(h, p[f"{name}a.w"], 1) + p[f"{name}a.b"])
        return layers.relu(h + layers.conv(inner, p[f"{name}b.w"], 1) + p[f"{name}b.b"])

    h, levels = image_BHWC, len(workload.widths)
    for i in range(1, levels + 1):
        h = layers.relu(layers.conv(h, p[f"enc.conv{i}.w"], 2) + p[f"enc.conv{i}.b"])
        h = block(f"enc.block{i}", h)
    code = h.reshape(len(h), -1) @ p["enc.dense.w"] + p["enc.dense.b"]
    side = workload.side // 2**levels
    h = layers.relu(code @ p["dec.dense.w"] + p["dec.dense.b"]).reshape(-1, side, side, workload.widths[-1])
    for i in range(1, levels + 1):
        h = block(f"dec.block{i}", h)
        h = layers.conv_t(h, p[f"dec.conv{i}.w"], 2) + p[f"dec.conv{i}.b"]
        h = layers.relu(h) if i < levels else layers.sigmoid(h)
    return h


def reconstruction(workload: Autoencoder, p: Params, image_BHWC: Array) -> Array:
    """L = 1/B · Σ (y − x)²."""
    error = reconstruct(workload, p, image_BHWC) - image_BHWC
    return (error * error).sum() / len(image_BHWC)


def attend(lm: Lm, p: Params, layer: int, x_BTD: Array) -> Array:
    batch, length, width = x_BTD.shape
    qkv = x_BTD @ p[f"h{layer}.qkv.w"] + p[f"h{layer}.qkv.b"]

    def heads(part: int) -> Array:
        columns = qkv[..., part * width : (part + 1) * width]
        return columns.reshape(batch, length, lm.heads, width // lm.heads).transpose(0, 2, 1, 3)

    q_BNTK, k_BNTK, v_BNTK = heads(0), heads(1), heads(2)
    score_BNTT = q_BNTK @ k_BNTK.transpose(0, 1, 3, 2) / np.sqrt(width // lm.heads)
    position = np.arange(length)
    a_BNTT = layers.softmax(score_BNTT, allowed=position[None, :] <= position[:, None])
    mixed_BTD = (a_BNTT @ v_BNTK).transpose(0, 2, 1, 3).reshape(x_BTD.shape)
    return mixed_BTD @ p[f"h{layer}.out.w"] + p[f"h{layer}.out.b"]


def surprise(lm: Lm, p: Params, token_BS: NDArray[np.int32]) -> Array:
    """−log softmax(logits)[next token] of each prediction, (B, T), in nats."""

    def norm(name: str, x: Array) -> Array:
        return layers.layer_norm(x, p[f"{name}.scale"], p[f"{name}.shift"], 1e-5)

    here, following = token_BS[:, :-1], token_BS[:, 1:]
    h = p["tok"][here] + p["pos"]
    for i in range(lm.layers):
        h = h + attend(lm, p, i, norm(f"h{i}.norm1", h))
        up = layers.gelu(norm(f"h{i}.norm2", h) @ p[f"h{i}.up.w"] + p[f"h{i}.up.b"])
        h = h + up @ p[f"h{i}.down.w"] + p[f"h{i}.down.b"]
    log_p_BTV = layers.log_softmax(norm("norm", h) @ p["tok"].T)
    return -np.take_along_axis(log_p_BTV, following[..., None].astype(np.int64), axis=-1)[..., 0]


def cross_entropy(lm: Lm, p: Params, token_BS: NDArray[np.int32]) -> Array:
    return surprise(lm, p, token_BS).mean()
