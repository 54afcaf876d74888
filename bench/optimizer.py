"""Optimizers: one formula each for all frameworks, and the names that choose them.

A name is one of `OPTIMIZERS`, with any of `ADDITIONS` after it: `adamw`, `sgd+clip`, `adam+clip+cosine`.
"""

import math
from dataclasses import dataclass
from typing import Literal

from bench.spec import one

OPTIMIZERS = ("adam", "adamw", "rmsprop", "rmsprop-centered", "sgd", "sgd-nesterov")
ADDITIONS = ("clip", "cosine")  # to an optimizer's name: clipping by the global norm, a schedule


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What happens to a parameter p with gradient g at update t = 1, 2, …; slots are zero at first.

    Clipping, where `clip` > 0, over all parameters that this optimizer updates (Pascanu et al. 2013):

        g ← g · clip / max(norm, clip)            norm = sqrt(Σ g²) over all tensors together

    Schedule: a linear warm-up, then half a cosine (Loshchilov & Hutter 2017) down to `floor` of the rate:

        lr_t = lr · min(t / warmup, 1) · (floor + (1 − floor) · (1 + cos(π·x)) / 2)
        x    = min(max(t − warmup, 0) / (total − warmup), 1)          without `warmup`: lr_t = lr

    `adam` (Kingma & Ba 2015) and `adamw` (Loshchilov & Hutter 2019):

        m ← β₁ m + (1 − β₁) g              v ← β₂ v + (1 − β₂) g²
        p ← p − lr_t·λ·p                   only `adamw`, only where `Param.decay`; p before the step
        p ← p − lr_t · (m / (1 − β₁ᵗ)) / (sqrt(v / (1 − β₂ᵗ)) + ε)

    `rmsprop` (Tieleman & Hinton 2012; Graves 2013 where `centered`), μ being the momentum:

        v ← α v + (1 − α) g²               avg ← α avg + (1 − α) g, only where centered
        mom ← μ mom + g / (sqrt(v) + ε)    centered: sqrt(v − avg²)
        p ← p − lr_t · mom

    `sgd` (Sutskever et al. 2013, in the form whose momentum does not hold the rate):

        mom ← μ mom + g
        p ← p − lr_t · mom                 with `nesterov`: p ← p − lr_t · (g + μ mom), mom the new one

    1 − βᵗ and lr_t are computed in double precision, or 1 − βᵗ as −expm1(t·log β).
    Slots are exported as `<slot>/<param>`, named as above.
    """

    kind: Literal["adam", "adamw", "rmsprop", "sgd"]
    lr: float  # the largest rate of the schedule
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0  # λ; zero but for `adamw`
    smoothing: float = 0.99  # α
    momentum: float = 0.9  # μ
    centered: bool = False
    nesterov: bool = False
    clip: float = 0.0  # largest norm of the gradient; 0: not clipped
    warmup: int = 0  # updates until the rate is reached; 0: it is constant
    total: int = 0  # updates until the floor is reached
    floor: float = 0.1  # share of the rate

    @property
    def slots(self) -> tuple[str, ...]:
        match self.kind:
            case "adam" | "adamw":
                return ("m", "v")
            case "rmsprop":
                return ("v", "mom", "avg") if self.centered else ("v", "mom")
            case "sgd":
                return ("mom",)

    def rate(self, t: int) -> float:
        """lr_t at update t = 1, 2, …, by the formula above."""
        if not self.warmup:
            return self.lr
        x = min(max(t - self.warmup, 0) / (self.total - self.warmup), 1.0)
        cosine = self.floor + (1.0 - self.floor) * (1.0 + math.cos(math.pi * x)) / 2.0
        return self.lr * min(t / self.warmup, 1.0) * cosine


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers that a workload trains with, whatever optimizer is chosen."""

    lr: float  # of Adam and AdamW
    rmsprop_lr: float
    sgd_lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.1
    clip: float = 1.0
    warmup: int = 100
    total: int = 1000

    def optimizer(self, name: str) -> Optimizer:
        """The optimizer of a name like `adam` or `adamw+clip+cosine`.

        Raises:
            WrongInput: there is no such name.
        """
        base, *extras = check_optimizer(name).split("+")
        clip = self.clip if "clip" in extras else 0.0
        warmup, total = (self.warmup, self.total) if "cosine" in extras else (0, 0)
        match base:
            case "adam" | "adamw":
                decay = self.weight_decay if base == "adamw" else 0.0
                return Optimizer(
                    kind=base, lr=self.lr, beta1=self.beta1, beta2=self.beta2, weight_decay=decay,
                    clip=clip, warmup=warmup, total=total,
                )  # fmt: skip
            case "rmsprop" | "rmsprop-centered":
                centered = base == "rmsprop-centered"
                return Optimizer(
                    kind="rmsprop", lr=self.rmsprop_lr, centered=centered, clip=clip, warmup=warmup, total=total
                )
            case _:
                nesterov = base == "sgd-nesterov"
                return Optimizer(
                    kind="sgd", lr=self.sgd_lr, nesterov=nesterov, clip=clip, warmup=warmup, total=total
                )  # fmt: skip


def check_optimizer(name: str) -> str:
    """The name in its one spelling, additions in the order of `ADDITIONS`.

    Raises:
        WrongInput: there is no such optimizer or addition.
    """
    base, *extras = name.split("+")
    one(base, OPTIMIZERS, "optimizer")
    for extra in extras:
        one(extra, ADDITIONS, f"addition to the optimizer {base}")
    return "+".join([base, *(extra for extra in ADDITIONS if extra in extras)])
