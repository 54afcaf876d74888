"""The three workloads as a competent user of PyTorch writes them: stock layers and optimizers, no tricks.

Shapes: B batch, H and W image sides, C channels, Z noise or code, T context, D width, N heads, K head width.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import spec

Step = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class Conv(nn.Module):
    """A convolution with SAME padding, then batch norm if it has one; a transposed one's surplus is cut off."""

    def __init__(self, conv: spec.Conv, bias: bool = True, **norm: float) -> None:
        super().__init__()
        before, after, shape = conv.pad_before, conv.pad_after, (conv.inputs, conv.outputs, conv.kernel, conv.stride)
        self.side = conv.side_out
        self.pad = nn.Identity() if conv.transposed or before == after else nn.ZeroPad2d((before, after) * 2)
        kind = nn.ConvTranspose2d if conv.transposed else nn.Conv2d
        self.conv = kind(*shape, padding=before if conv.transposed or before == after else 0, bias=bias)
        self.norm = nn.BatchNorm2d(conv.outputs, **norm) if conv.norm else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.norm(self.conv(self.pad(x_BCHW))[..., : self.side, : self.side])


class Block(nn.Sequential):
    """A residual block, or nothing."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.relu(x_BCHW + self[1](F.relu(self[0](x_BCHW)))) if len(self) else x_BCHW


def gan(workload: Any, variant: str) -> Step:
    norm = {"momentum": 1.0 - workload.norm_momentum, "eps": workload.norm_eps}
    features, side = workload.seed_side**2 * workload.seed_channels, workload.seed_side
    g_layers: list[nn.Module] = [nn.Linear(workload.z, features, bias=False), nn.BatchNorm1d(features, **norm)]
    g_layers += [nn.ReLU(), nn.Unflatten(1, (workload.seed_channels, side, side))]
    for conv in workload.generator:
        g_layers += [Conv(conv, bias=False, **norm), nn.ReLU() if conv.norm else nn.Tanh()]
    d_layers: list[nn.Module] = []
    for conv in workload.discriminator:
        d_layers += [Conv(conv, bias=not conv.norm, **norm), nn.LeakyReLU(workload.leak)]
    g = nn.Sequential(*g_layers)
    d = nn.Sequential(*d_layers, nn.Flatten(), nn.Linear(workload.logit_inputs, 1))
    numbers = workload.optimizer(workload.default_optimizer)
    g_adam = torch.optim.Adam(g.parameters(), numbers.lr, (numbers.beta1, numbers.beta2))
    d_adam = torch.optim.Adam(d.parameters(), numbers.lr, (numbers.beta1, numbers.beta2))
    if variant == "compile":
        g, d = torch.compile(g), torch.compile(d)

    def step(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        loss_d = cross_entropy(d(batch["image"].permute(0, 3, 1, 2)), 1.0) + cross_entropy(
            d(g(batch["z_d"]).detach()), 0.0
        )
        update(d_adam, loss_d)
        loss_g = cross_entropy(d(g(batch["z_g"])), 1.0)
        update(g_adam, loss_g)
        return {"discriminator": loss_d.detach(), "generator": loss_g.detach()}

    return step


def cross_entropy(logit: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, label))


def autoencoder(workload: Any, variant: str) -> Step:
    layers: list[nn.Module] = []
    for conv, block in zip(workload.encoder, workload.encoder_blocks, strict=True):
        layers += [Conv(conv), nn.ReLU(), Block(*map(Conv, block))]
    side, features = workload.seed_side, workload.features
    layers += [nn.Flatten(), nn.Linear(features, workload.code), nn.Linear(workload.code, features)]
    layers += [nn.ReLU(), nn.Unflatten(1, (workload.seed_channels, side, side))]
    for conv, block in zip(workload.decoder, workload.decoder_blocks, strict=True):
        layers += [Block(*map(Conv, block)), Conv(conv), nn.ReLU()]
    net = nn.Sequential(*layers[:-1], nn.Sigmoid())
    adam = torch.optim.Adam(net.parameters(), workload.optimizer("adam").lr)
    model = torch.compile(net) if variant == "compile" else net

    def step(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x_BCHW = batch["image"].permute(0, 3, 1, 2)
        loss = F.mse_loss(model(x_BCHW), x_BCHW, reduction="sum") / len(x_BCHW)
        update(adam, loss)
        return {"reconstruction": loss.detach()}

    return step


class Layer(nn.Module):
    """Attention and perceptron of a transformer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(self, h_BTD: Tensor) -> Tensor:
        b, t, d = h_BTD.shape
        q, k, v = (x.view(b, t, self.heads, -1).transpose(1, 2) for x in self.qkv(self.norm1(h_BTD)).chunk(3, dim=-1))
        a_BNTK = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h_BTD = h_BTD + self.out(a_BNTK.transpose(1, 2).reshape(b, t, d))
        return h_BTD + self.mlp(self.norm2(h_BTD))


class Transformer(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        self.tok = nn.Embedding(workload.vocabulary, workload.width)
        self.pos = nn.Embedding(workload.context, workload.width)
        self.layers = nn.Sequential(*(Layer(workload.width, workload.heads) for _ in range(workload.layers)))
        self.norm = nn.LayerNorm(workload.width)
        self.head = nn.Linear(workload.width, workload.vocabulary, bias=False)
        self.head.weight = self.tok.weight

    def forward(self, token_BT: Tensor) -> Tensor:
        position_T = torch.arange(token_BT.shape[1], device=token_BT.device)
        return self.head(self.norm(self.layers(self.tok(token_BT) + self.pos(position_T))))


def lm(workload: Any, variant: str) -> Step:
    net = Transformer(workload)
    numbers = workload.optimizer("adamw")
    betas = (numbers.beta1, numbers.beta2)
    adamw = torch.optim.AdamW(net.parameters(), numbers.lr, betas, weight_decay=numbers.weight_decay)
    model = torch.compile(net) if variant == "compile" else net

    def step(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        token_BS = batch["token"]
        logits_BTV = model(token_BS[:, :-1])
        loss = F.cross_entropy(logits_BTV.flatten(0, 1), token_BS[:, 1:].flatten())
        update(adamw, loss)
        return {"cross_entropy": loss.detach()}

    return step


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def build(workload: Any, variant: str) -> Step:
    """One whole training step, in place, of a gan, an autoencoder or a language model."""
    return {"gan": gan, "autoencoder": autoencoder, "lm": lm}[workload.name](workload, variant)
