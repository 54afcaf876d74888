"""The autoencoder of `bench.workloads.autoencoder`.

Shapes: B batch, H and W image sides, C channels, F features, Z the code.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.spec import Request
from bench.workloads.autoencoder import Autoencoder

from . import backend, evidence, layers, optimizers


class Encoder(nn.Module):
    """Images to codes."""

    def __init__(self, workload: Autoencoder, params: layers.Params, forms: layers.Forms) -> None:
        super().__init__()
        self.convs = layers.add_convs(self, workload.encoder, params, forms)
        self.blocks = [layers.add_convs(self, block, params, forms) for block in workload.encoder_blocks]
        self.dense = layers.Dense(params, "enc.dense", forms)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for conv, block in zip(self.convs, self.blocks, strict=True):
            x_BCHW = residual(block, layers.relu(conv(x_BCHW)))
        return self.dense(layers.features(x_BCHW))


class Decoder(nn.Module):
    """Codes to images in [0, 1]."""

    def __init__(self, workload: Autoencoder, params: layers.Params, forms: layers.Forms) -> None:
        super().__init__()
        self.side = workload.seed_side
        self.dense = layers.Dense(params, "dec.dense", forms)
        self.blocks = [layers.add_convs(self, block, params, forms) for block in workload.decoder_blocks]
        self.convs = layers.add_convs(self, workload.decoder, params, forms)

    def forward(self, code_BZ: Tensor) -> Tensor:
        h_BCHW = layers.images(layers.relu(self.dense(code_BZ)), self.side)
        for conv, block in zip(self.convs[:-1], self.blocks[:-1], strict=True):
            h_BCHW = layers.relu(conv(residual(block, h_BCHW)))
        return torch.sigmoid(self.convs[-1](residual(self.blocks[-1], h_BCHW)))


def residual(block: tuple[layers.Conv, ...], h_BCHW: Tensor) -> Tensor:
    """Two convolutions beside the identity; no convolutions: the identity alone."""
    if not block:
        return h_BCHW
    first, second = block
    return layers.relu(h_BCHW + second(layers.relu(first(h_BCHW))))


class Net(nn.Module):
    """Encoder and decoder, whose parameters have the spec's names."""

    def __init__(self, workload: Autoencoder, params: layers.Params, forms: layers.Forms) -> None:
        super().__init__()
        self.enc = Encoder(workload, params, forms)
        self.dec = Decoder(workload, params, forms)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.dec(self.enc(x_BCHW))


@dataclass(frozen=True, kw_only=True)
class State:
    net: Net
    loss: Callable[[Tensor], Tensor]  # leaves its gradients in the parameters
    update: optimizers.Update
    params: layers.Named
    forms: layers.Forms
    variant: str


Batch = Mapping[str, Tensor]


def build(
    workload: Autoencoder, params: layers.Params, request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Tensor]]]]:
    """State with `params` on the device, and the step."""
    forms = layers.choose(request)
    net = Net(workload, params, forms)
    named = layers.named(net)
    update = optimizers.build(workload.optimizer(request.cell.optimizer), named, workload.param_specs(), request)
    loss = backend.program(partial(reconstruction, net), list(net.parameters()), request, update.scale)
    return State(net=net, loss=loss, update=update, params=named, forms=forms, variant=request.cell.variant), step


def step(state: State, batch: Batch) -> tuple[State, dict[str, Tensor]]:
    """One update; the state is changed in place."""
    loss = state.loss(batch["image"].permute(0, 3, 1, 2))
    state.update.step()
    return state, {"reconstruction": loss, **optimizers.skipped(state.update)}


def reconstruction(net: nn.Module, x_BCHW: Tensor) -> Tensor:
    """Squared error, summed over an image and averaged over the batch."""
    return F.mse_loss(net(x_BCHW).to(x_BCHW.dtype), x_BCHW, reduction="sum") / x_BCHW.shape[0]


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters and slots."""
    del device  # a process has one
    wanted = optimizers.names(state.params, state.update) if names is None else names
    return optimizers.export(state.params, [state.update], wanted)


def optimisations(state: State) -> dict[str, str | bool]:
    """What is on, asked of PyTorch where it can be."""
    return evidence.seen(state.net, state.forms, state.variant, [state.update], [state.loss])


def kernels(workload: Autoencoder, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """None: the operations here are exact in float64, and there are no faster ones."""
    del workload, request
    return {}
