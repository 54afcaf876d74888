"""The GAN of `bench.workloads.gan`.

Shapes: B batch, Z noise, F features, C channels, H and W image sides.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.spec import Request
from bench.workloads.gan import Gan

from . import backend, evidence, layers, optimizers


def add_norms(
    net: nn.Module, prefix: str, sides: Mapping[int, int], workload: Gan, params: layers.Params, groups: int,
    forms: layers.Forms,
) -> dict[int, layers.BatchNorm]:  # fmt: skip
    """Batch norms `<prefix>.norm<i>`, by their number, of images with these sides; also added to `net`."""
    norms: dict[int, layers.BatchNorm] = {}
    for i, side in sides.items():
        norms[i] = layers.BatchNorm(
            params, f"{prefix}.norm{i}", forms.device, groups=groups, n=workload.batch // groups * side**2,
            momentum=workload.norm_momentum, eps=workload.norm_eps,
        )  # fmt: skip
        net.add_module(f"norm{i}", norms[i])
    return norms


class Generator(nn.Module):
    """Noise to images in [−1, 1]; a forward pass updates the running statistics."""

    def __init__(self, workload: Gan, params: layers.Params, groups: int, forms: layers.Forms) -> None:
        super().__init__()
        self.side = workload.seed_side
        self.dense = layers.Dense(params, "g.dense", forms)
        self.convs = layers.add_convs(self, workload.generator, params, forms)
        sides = {0: 1, **{i: conv.side_out for i, conv in enumerate(workload.generator, start=1) if conv.norm}}
        self.norms = add_norms(self, "g", sides, workload, params, groups, forms)

    def forward(self, z_BZ: Tensor) -> Tensor:
        h_BF = layers.relu(self.norms[0](self.dense(z_BZ)))
        h_BCHW = layers.images(h_BF, self.side)
        for i, conv in enumerate(self.convs[:-1], start=1):
            h_BCHW = layers.relu(self.norms[i](conv(h_BCHW)))
        return torch.tanh(self.convs[-1](h_BCHW))


class Discriminator(nn.Module):
    """Images to one logit each; a forward pass updates the running statistics, where there are any."""

    def __init__(self, workload: Gan, params: layers.Params, groups: int, forms: layers.Forms) -> None:
        super().__init__()
        self.leak = workload.leak
        self.convs = layers.add_convs(self, workload.discriminator, params, forms)
        sides = {i: conv.side_out for i, conv in enumerate(workload.discriminator, start=1) if conv.norm}
        self.norms = add_norms(self, "d", sides, workload, params, groups, forms)
        self.dense = layers.Dense(params, "d.dense", forms)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for i, conv in enumerate(self.convs, start=1):
            x_BCHW = conv(x_BCHW)
            if i in self.norms:
                x_BCHW = self.norms[i](x_BCHW)
            x_BCHW = layers.leaky_relu(x_BCHW, self.leak)
        return self.dense(layers.features(x_BCHW)).to(self.dense.w.dtype)


class Net(nn.Module):
    """Generator and discriminator, whose parameters have the spec's names."""

    def __init__(self, workload: Gan, params: layers.Params, groups: int, forms: layers.Forms) -> None:
        super().__init__()
        self.g = Generator(workload, params, groups, forms)
        self.d = Discriminator(workload, params, groups, forms)


@dataclass(frozen=True, kw_only=True)
class State:
    net: Net
    d_loss: Callable[[Tensor, Tensor], Tensor]  # leaves its gradients in the discriminator's parameters
    g_loss: Callable[[Tensor], Tensor]  # and in the generator's
    g_update: optimizers.Update
    d_update: optimizers.Update
    params: layers.Named
    forms: layers.Forms
    variant: str


Batch = Mapping[str, Tensor]


def build(
    workload: Gan, params: layers.Params, request: Request
) -> tuple[State, Callable[[State, Batch], tuple[State, dict[str, Tensor]]]]:
    """State with `params` on the device, and the step."""
    forms = layers.choose(request)
    net = Net(workload, params, request.cell.groups_per_device, forms)
    named = layers.named(net)

    def update(prefix: str) -> optimizers.Update:
        part = {name: param for name, param in named.items() if name.startswith(prefix)}
        return optimizers.build(workload.optimizer(request.cell.optimizer), part, workload.param_specs(), request)

    g_update, d_update = update("g."), update("d.")
    of_g, of_d = list(net.g.parameters()), list(net.d.parameters())
    state = State(
        net=net, params=named, forms=forms, variant=request.cell.variant, g_update=g_update, d_update=d_update,
        d_loss=backend.program(partial(discriminator_loss, net), of_d, request, d_update.scale, frozen=of_g),
        g_loss=backend.program(partial(generator_loss, net), of_g, request, g_update.scale, frozen=of_d),
    )  # fmt: skip
    return state, step


def step(state: State, batch: Batch) -> tuple[State, dict[str, Tensor]]:
    """Two updates; the state is changed in place."""
    loss_d = state.d_loss(batch["image"].permute(0, 3, 1, 2), batch["z_d"])
    state.d_update.step()
    loss_g = state.g_loss(batch["z_g"])
    state.g_update.step()
    return state, {"discriminator": loss_d, "generator": loss_g, **optimizers.skipped(state.g_update, state.d_update)}


def discriminator_loss(net: Net, real_BCHW: Tensor, z_BZ: Tensor) -> Tensor:
    """Of a real and a generated batch; no gradient reaches the generator."""
    with torch.no_grad():
        fake_BCHW = net.g(z_BZ)
    return layers.softplus(-net.d(real_BCHW)).mean() + layers.softplus(net.d(fake_BCHW)).mean()


def generator_loss(net: Net, z_BZ: Tensor) -> Tensor:
    """Of a generated batch, as the discriminator sees it."""
    return layers.softplus(-net.d(net.g(z_BZ))).mean()


def export(state: State, names: Iterable[str] | None = None, device: int = 0) -> dict[str, NDArray[Any]]:
    """Arrays by the spec's names, in its layout: parameters, slots, `mean/` and `var/` statistics."""
    del device  # a process has one
    nets = {"d": state.net.d, "g": state.net.g}
    norms = {
        f"{kind}/{prefix}.norm{i}": norm
        for kind in ("mean", "var")
        for prefix, net in nets.items()
        for i, norm in net.norms.items()
    }
    wanted = [*optimizers.names(state.params, state.d_update), *norms] if names is None else list(names)
    both = (state.g_update, state.d_update)
    arrays = optimizers.export(state.params, both, (name for name in wanted if name not in norms))
    for name in wanted:
        if name in norms:
            arrays[name] = norms[name].running(name.partition("/")[0]).cpu().numpy()
    return arrays


def optimisations(state: State) -> dict[str, str | bool]:
    """What is on, asked of PyTorch where it can be."""
    updates, losses = [state.g_update, state.d_update], [state.d_loss, state.g_loss]
    found = evidence.seen(state.net, state.forms, state.variant, updates, losses)
    return found | {"batch_norm": "PyTorch's own kernel" if state.variant == "eager" else "Inductor"}


def kernels(workload: Gan, request: Request) -> Mapping[str, Callable[[str], dict[str, NDArray[Any]]]]:
    """None: the operations here are exact in float64, and there are no faster ones."""
    del workload, request
    return {}
