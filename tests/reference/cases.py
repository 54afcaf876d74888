"""What is trained in NumPy and in each framework: networks of a few hundred parameters, every optimizer.

Parameters start away from 0 and 1 so that no bias, scale or shift is without effect; the `kink` cases start where the
docstrings put biases, on images that are half 0, so that the input of a relu is exactly 0 in places.
"""

from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bench.data.draw import init_params
from bench.optimizer import OPTIMIZERS, Recipe
from bench.workloads.autoencoder import Autoencoder
from bench.workloads.gan import Gan
from bench.workloads.lm import Lm

Arrays = dict[str, NDArray[Any]]

RECIPE = Recipe(lr=1e-2, rmsprop_lr=1e-3, sgd_lr=1e-2, beta2=0.97, clip=0.05, warmup=2, total=4)
UNCLIPPED = replace(RECIPE, clip=1e3)

GAN = Gan(size="micro", side=8, z=2, width=1, batch=6, recipe=RECIPE)
RADFORD = replace(
    GAN, channels=3, width=2, kernel=4, strides=(2, 2), d_norm=True, norm_momentum=0.9, norm_eps=1e-5, init_std=0.02
)
AUTOENCODER = Autoencoder(size="micro", side=8, widths=(2, 3), code=2, batch=3, recipe=RECIPE)
SMALLEST = replace(AUTOENCODER, side=4, widths=(2,))
LM = Lm(size="micro", layers=1, heads=2, width=4, context=4, vocabulary=7, batch=3, recipe=replace(RECIPE, lr=1e-3))


@dataclass(frozen=True, kw_only=True)
class Case:
    workload: Any
    optimizer: str = "adam"
    norm_groups: int = 1
    steps: int = 4
    spread: float = 0.2  # standard deviation of what is added to every parameter at the start
    dark: bool = False  # the upper half of every image is 0


CASES: dict[str, Case] = {
    "gan": Case(workload=replace(GAN, side=12)),  # from 3×3 on every place in a kernel matters
    "gan-kink": Case(workload=GAN, spread=0.0, dark=True),
    "gan-clipped": Case(workload=replace(GAN, kernel=4), optimizer="adamw+clip+cosine"),
    "gan-d_norm-groups": Case(workload=replace(GAN, d_norm=True), norm_groups=2),
    "radford": Case(workload=RADFORD),
    "autoencoder": Case(workload=AUTOENCODER),
    "autoencoder-kink": Case(workload=AUTOENCODER, spread=0.0, dark=True),
    "autoencoder-residual": Case(workload=replace(AUTOENCODER, channels=3, residual=True)),
    "lm": Case(workload=replace(LM, layers=2), optimizer="adamw"),
    "lm-clipped": Case(workload=LM, optimizer="adamw+clip+cosine"),
    "adam+clip-inactive": Case(workload=replace(SMALLEST, recipe=UNCLIPPED), optimizer="adam+clip"),
}
CASES |= {name: Case(workload=SMALLEST, optimizer=name) for name in OPTIMIZERS}
CASES |= {  # one step more: the rate stays where the schedule ends
    f"{name}+clip+cosine": Case(workload=SMALLEST, optimizer=f"{name}+clip+cosine", steps=5) for name in OPTIMIZERS
}


def random(*key: object) -> np.random.Generator:
    return np.random.default_rng(crc32(repr(key).encode()))


def draw_params(case: Case) -> Arrays:
    """The specification's initial parameters, with something added to each number."""
    drawn = init_params(case.workload, 0)
    return {name: p + case.spread * random("param", name).standard_normal(p.shape) for name, p in drawn.items()}


def draw_batch(case: Case, step: int) -> Arrays:
    """In the form of the workload's `batch_at`."""
    workload, source = case.workload, random("batch", step)
    if workload.name == "lm":
        return {"token": source.integers(workload.vocabulary, size=(workload.batch, workload.context + 1), dtype="i4")}
    image = source.random((workload.batch, workload.side, workload.side, workload.channels))
    if case.dark:
        image[:, : workload.side // 2] = 0.0
    if workload.name == "autoencoder":
        return {"image": image}
    z_d, z_g = source.standard_normal((2, workload.batch, workload.z))
    return {"image": image if case.dark else image * 2.0 - 1.0, "z_d": z_d, "z_g": z_g}
