"""Optimizers as `bench.optimizer.Optimizer` states them: optax's interface and chain, its own pieces where they agree.

Its `trace`, and `scale_by_rms` and `scale_by_stddev` with epsilon outside of the root, are the formulas there; its Adam
is not.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from numpy.typing import NDArray

from bench.optimizer import Optimizer
from bench.spec import Param, Request

from . import exchange, loss_scale

Arrays = dict[str, Array]  # by the spec's names

SLOTS: dict[type, dict[str, str]] = {  # by the state of a transformation, the spec's name: its own
    optax.ScaleByAdamState: {"m": "mu", "v": "nu"},
    optax.ScaleByRmsState: {"v": "nu"},
    optax.ScaleByRStdDevState: {"v": "nu", "avg": "mu"},
    optax.TraceState: {"mom": "trace"},
}


class Training(NamedTuple):
    """How an update is made."""

    init: Callable[[Arrays], Any]  # parameters -> slots
    value_and_grad: Callable[..., Callable[[Any], Any]]  # (loss, slots, has_aux) -> as `jax.value_and_grad`
    apply: Callable[[Arrays, Any, Arrays], tuple[Arrays, Any]]  # (gradients, slots, parameters) -> parameters, slots


def build(optimizer: Optimizer, specs: Mapping[str, Param], request: Request) -> Training:
    """The optimizer over parameters by the spec's names, those of `specs` or some of them."""
    transformation = chain(optimizer, specs)
    update = partial(apply, transformation)
    training = Training(transformation.init, value_and_grad, update)
    if request.cell.precision == "fp16":
        training = Training(
            partial(loss_scale.init, request.first_scale, transformation.init),
            loss_scale.value_and_grad,
            partial(loss_scale.apply, update),
        )
    if exchange.averages(request):
        return training._replace(value_and_grad=partial(exchange.value_and_grad, training.value_and_grad))
    return training


def value_and_grad(loss: Callable[[Any], Any], slots: Any, has_aux: bool = False) -> Callable[[Any], Any]:
    """Without a loss scale the slots have no part in it."""
    return jax.value_and_grad(loss, has_aux=has_aux)


def chain(optimizer: Optimizer, specs: Mapping[str, Param]) -> optax.GradientTransformation:
    """Optax's chain of what is done to a gradient."""
    links = [direction(optimizer), step_size(optimizer)]
    if optimizer.weight_decay:

        def decayed(params: Any) -> dict[str, bool]:
            return {name: specs[name].decay for name in params}

        links.insert(1, optax.add_decayed_weights(optimizer.weight_decay, mask=decayed))
    if optimizer.clip:
        links.insert(0, optax.clip_by_global_norm(optimizer.clip))
    return optax.chain(*links)


def direction(optimizer: Optimizer) -> optax.GradientTransformation:
    """What is multiplied by the rate."""
    match optimizer.kind:
        case "adam" | "adamw":
            return scale_by_adam(optimizer)
        case "rmsprop":
            scale = optax.scale_by_stddev if optimizer.centered else optax.scale_by_rms
            scaled = scale(optimizer.smoothing, optimizer.eps, eps_in_sqrt=False)
            return optax.chain(scaled, optax.trace(optimizer.momentum))
        case "sgd":
            return optax.trace(optimizer.momentum, nesterov=optimizer.nesterov)


def step_size(optimizer: Optimizer) -> optax.GradientTransformation:
    """−lr_t; a schedule's rates are looked up, as they are computed in double, which a device may not have."""
    if not optimizer.warmup:
        return optax.scale(-optimizer.lr)
    rates = [optimizer.rate(t) for t in range(1, optimizer.total + 1)]
    return optax.scale_by_schedule(lambda done: -jnp.array(rates)[jnp.minimum(done, len(rates) - 1)])


def scale_by_adam(optimizer: Optimizer) -> optax.GradientTransformation:
    """m̂ / (sqrt(v̂) + ε) for a gradient; optax's own takes 1 − βᵗ as it stands, 1e-5 off in float32."""
    beta1, beta2 = optimizer.beta1, optimizer.beta2

    def init(params: Any) -> optax.ScaleByAdamState:
        zeros = [{name: jnp.zeros_like(param) for name, param in params.items()} for _ in "mv"]
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), *zeros)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.ScaleByAdamState]:
        steps = state.count + 1
        m = {name: beta1 * state.mu[name] + (1 - beta1) * grad for name, grad in updates.items()}
        v = {name: beta2 * state.nu[name] + (1 - beta2) * grad * grad for name, grad in updates.items()}

        def scale(m: Array, v: Array) -> Array:
            m_hat = m / one_minus_power(beta1, steps, m.dtype)
            v_hat = v / one_minus_power(beta2, steps, v.dtype)
            return m_hat / (jnp.sqrt(v_hat) + optimizer.eps)

        return {name: scale(m[name], v[name]) for name in updates}, optax.ScaleByAdamState(steps, m, v)

    return optax.GradientTransformation(init, update)


def one_minus_power(beta: float, steps: Array, dtype: Any) -> Array:
    """1 − βᵗ as −expm1(t·log β), the logarithm taken in double precision."""
    return -jnp.expm1(steps.astype(dtype) * math.log(beta))


def apply(
    transformation: optax.GradientTransformation, grads: Arrays, slots: optax.OptState, params: Arrays
) -> tuple[Arrays, optax.OptState]:
    """Parameters and slots after one update."""
    updates, slots = transformation.update(grads, slots, params)
    return optax.apply_updates(params, updates), slots  # type: ignore[return-value]


def export(parts: Iterable[tuple[Arrays, Any]], names: Iterable[str] | None, device: int) -> dict[str, NDArray[Any]]:
    """Parameters `<param>` and slots `<slot>/<param>`, all without `names`, of pairs of parameters and slots."""
    found: dict[str, Array] = {}
    for params, state in parts:
        found |= params
        for slot, arrays in slots_of(state):
            found |= {f"{slot}/{name}": array for name, array in arrays.items()}
    return {name: exchange.part(found[name], device) for name in (found if names is None else names)}


def slots_of(state: Any) -> Iterable[tuple[str, Arrays]]:
    """Slots by the spec's names, in the states of a chain and of the chains in it."""
    for slot, own in SLOTS.get(type(state), {}).items():
        yield slot, getattr(state, own)
    if type(state) in (tuple, loss_scale.Scaled):
        for part in state:
            yield from slots_of(part)
