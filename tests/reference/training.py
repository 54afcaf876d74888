"""Whole training steps in NumPy: losses, gradients by the complex step, updates, running statistics."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.optimizer import Optimizer
from tests.reference import networks, optimizers
from tests.reference.cases import Case, draw_batch, draw_params
from tests.reference.derivative import gradient
from tests.reference.layers import Array
from tests.reference.networks import Params, Statistics

Batch = dict[str, Array]


class Training:
    """Parameters, slots and running statistics of one case, by the names under which they are exported."""

    def __init__(self, case: Case) -> None:
        self.case, self.workload = case, case.workload
        self.optimizer: Optimizer = self.workload.optimizer(case.optimizer)
        self.params = draw_params(case)
        self.decayed = {name for name, param in self.workload.param_specs().items() if param.decay}
        self.slots = optimizers.empty_slots(self.optimizer, self.params)
        self.running = self._fresh_statistics()
        self.norms: list[float] = []  # of the gradient in each update, before it is clipped
        self.t = 0

    def _fresh_statistics(self) -> dict[str, Array]:
        """mean_GC at 0 and var_GC at 1 of every batch norm; those of the lm are layer norms, which have none."""
        if self.workload.name != "gan":
            return {}
        features = {name.removesuffix(".scale"): len(p) for name, p in self.params.items() if name.endswith(".scale")}
        shapes = {name: (self.case.norm_groups, count) for name, count in features.items()}
        mean = {f"mean/{name}": np.zeros(shape) for name, shape in shapes.items()}
        return mean | {f"var/{name}": np.ones(shape) for name, shape in shapes.items()}

    def step(self, batch: Batch) -> dict[str, float]:
        """One training step; the losses, each before its own update."""
        self.t += 1
        return {"gan": self._gan, "autoencoder": self._autoencoder, "lm": self._lm}[self.workload.name](batch)

    def state(self) -> dict[str, Array]:
        return self.params | self.slots | {name: value.mean(axis=0) for name, value in self.running.items()}

    def _lm(self, batch: Batch) -> dict[str, float]:
        loss = self._update(lambda p: networks.cross_entropy(self.workload, p, batch["token"]))
        return {"cross_entropy": loss}

    def _autoencoder(self, batch: Batch) -> dict[str, float]:
        loss = self._update(lambda p: networks.reconstruction(self.workload, p, batch["image"]))
        return {"reconstruction": loss}

    def _gan(self, batch: Batch) -> dict[str, float]:
        gan, groups = self.workload, self.case.norm_groups
        real_BHWC, fake_BHWC = batch["image"], self._pass(networks.generate, batch["z_d"])
        self._pass(networks.discriminate, real_BHWC)
        self._pass(networks.discriminate, fake_BHWC)
        loss_d = self._update(lambda p: networks.discriminator_loss(gan, p, real_BHWC, fake_BHWC, groups), "d.")
        self._pass(networks.discriminate, self._pass(networks.generate, batch["z_g"]))
        loss_g = self._update(lambda p: networks.generator_loss(gan, p, batch["z_g"], groups), "g.")
        return {"discriminator": loss_d, "generator": loss_g}

    def _pass(self, network: Callable[..., tuple[Array, Statistics]], x: Array) -> Array:
        """One forward pass of a network in training, which moves its running statistics."""
        y, statistics = network(self.workload, self.params, x, self.case.norm_groups)
        keep = self.workload.norm_momentum
        for name, found in statistics.items():
            for kind, value in zip(("mean", "var"), found, strict=True):
                self.running[f"{kind}/{name}"] = keep * self.running[f"{kind}/{name}"] + (1 - keep) * value
        return y

    def _update(self, loss: Callable[[Params], Array], net: str = "") -> float:
        """Update the parameters whose names begin with `net` by the gradient of `loss`, whose value is returned."""
        before = float(loss(self.params))
        grads = gradient(loss, self.params, [name for name in self.params if name.startswith(net)])
        self.norms.append(optimizers.global_norm(grads))
        optimizers.update(self.optimizer, self.params, grads, self.slots, self.decayed, self.t)
        return before


def train(case: Case) -> dict[str, Any]:
    """Every loss and the whole state after every step, as `frameworks.train` gives them."""
    training, found = Training(case), dict[str, Any]()
    for step in range(case.steps):
        losses = training.step(draw_batch(case, step))
        found |= {f"{step}/loss/{name}": np.asarray(value) for name, value in losses.items()}
        found |= {f"{step}/{name}": value.copy() for name, value in training.state().items()}
    return found
