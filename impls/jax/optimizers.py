"""Adam and AdamW as `bench.spec.Optimizer` states them: optax's interface and chain, with our own `scale_by_adam`."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray

from bench.optimizer import Optimizer
from bench.spec import Param

Arrays = dict[str, Array]  # by the spec's names


class Adam(NamedTuple):
    """What `scale_by_adam` remembers."""

    steps: Array  # int32, updates done
    m: Arrays
    v: Arrays


def build(optimizer: Optimizer, specs: Mapping[str, Param]) -> optax.GradientTransformation:
    """The optimizer over parameters by the spec's names, those of `specs` or some of them."""
    chain = [scale_by_adam(optimizer), optax.scale(-optimizer.lr)]
    if optimizer.weight_decay:

        def decayed(params: Any) -> dict[str, bool]:
            return {name: specs[name].decay for name in params}

        chain.insert(1, optax.add_decayed_weights(optimizer.weight_decay, mask=decayed))
    return optax.chain(*chain)


def scale_by_adam(optimizer: Optimizer) -> optax.GradientTransformation:
    """m̂ / (sqrt(v̂) + ε) for a gradient; optax's own takes 1 − βᵗ as it stands, 1e-5 off in float32."""
    beta1, beta2 = optimizer.beta1, optimizer.beta2

    def init(params: Any) -> Adam:
        zeros = [{name: jnp.zeros_like(param) for name, param in params.items()} for _ in "mv"]
        return Adam(jnp.zeros((), jnp.int32), *zeros)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Adam]:
        steps = state.steps + 1
        m = {name: beta1 * state.m[name] + (1 - beta1) * grad for name, grad in updates.items()}
        v = {name: beta2 * state.v[name] + (1 - beta2) * grad * grad for name, grad in updates.items()}

        def scale(m: Array, v: Array) -> Array:
            m_hat = m / one_minus_power(beta1, steps, m.dtype)
            v_hat = v / one_minus_power(beta2, steps, v.dtype)
            return m_hat / (jnp.sqrt(v_hat) + optimizer.eps)

        return {name: scale(m[name], v[name]) for name in updates}, Adam(steps, m, v)

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


def export(parts: Iterable[tuple[Arrays, Any]], names: Iterable[str] | None) -> dict[str, NDArray[Any]]:
    """Parameters `<param>` and slots `<slot>/<param>`, all without `names`, of pairs of parameters and slots."""
    found: dict[str, Array] = {}
    for params, (adam, *_) in parts:
        found |= params
        found |= {f"{slot}/{name}": arrays[name] for slot, arrays in (("m", adam.m), ("v", adam.v)) for name in arrays}
    return {name: np.array(found[name]) for name in (found if names is None else names)}
