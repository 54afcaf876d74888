"""The three workloads as JAX's tutorials write them: plain functions over nested dicts, JAX's layers, optax, `jax.jit`.

Shapes: B batch, T context, D model width, N heads, K head width, H and W image sides, C channels, F features.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from bench.spec import Conv, Workload
from bench.workloads.autoencoder import Autoencoder
from bench.workloads.gan import Gan
from bench.workloads.lm import Lm

Batch = Mapping[str, Array]
Params = dict[str, Array]
IMAGES = ("NHWC", "HWIO", "NHWC")


def build(workload: Workload, variant: str) -> Callable[[Batch], dict[str, Array]]:
    """One training step, in place, in float32."""
    keys = jax.random.split(jax.random.key(0), len(workload.param_specs()))
    params = {
        name: jnp.ones(spec.shape) if spec.init == "ones" else 0.02 * jax.random.normal(key, spec.shape)
        for key, (name, spec) in zip(keys, workload.param_specs().items(), strict=True)
    }
    match workload:
        case Gan():
            return gan(workload, params)
        case Autoencoder():
            return trained(workload, params, optax.adam(1e-3), autoencoder)
        case _:
            return trained(workload, params, optax.adamw(3e-4, b2=0.95, weight_decay=0.1), lm)


def trained(workload: Any, params: Params, optimizer: Any, loss: Callable[..., Array]) -> Callable[..., Any]:
    @jax.jit
    def update(params: Params, slots: Any, batch: Batch) -> Any:
        value, grads = jax.value_and_grad(lambda params: loss(workload, params, batch))(params)
        updates, slots = optimizer.update(grads, slots, params)
        return optax.apply_updates(params, updates), slots, {"loss": value}

    return loop(update, params, optimizer.init(params))


def loop(update: Callable[..., Any], *state: Any) -> Callable[[Batch], dict[str, Array]]:
    def step(batch: Batch) -> dict[str, Array]:
        nonlocal state
        *state, losses = update(*state, batch)
        return losses

    return step


def conv(params: Params, spec: Conv, x_BHWC: Array) -> Array:
    w, strides = params[f"{spec.name}.w"], (spec.stride, spec.stride)
    apply = lax.conv_transpose if spec.transposed else lax.conv_general_dilated
    y_BHWC: Array = apply(x_BHWC, w, strides, "SAME", dimension_numbers=IMAGES)
    return y_BHWC + params[f"{spec.name}.b"] if f"{spec.name}.b" in params else y_BHWC


def dense(params: Params, name: str, x: Array) -> Array:
    y = x @ params[f"{name}.w"]
    return y + params[f"{name}.b"] if f"{name}.b" in params else y


def normalise(params: Params, name: str, x: Array, axes: tuple[int, ...], eps: float) -> Array:
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) * lax.rsqrt(var + eps) * params[f"{name}.scale"] + params[f"{name}.shift"]


def batch_norm(params: Params, stats: Params, name: str, x: Array, workload: Gan) -> Array:
    """Puts the running statistics after it into `stats`."""
    axes = tuple(range(x.ndim - 1))
    for key, now in ((f"mean/{name}", x.mean(axes)), (f"var/{name}", x.var(axes))):
        stats[key] = workload.norm_momentum * stats[key] + (1 - workload.norm_momentum) * now
    return normalise(params, name, x, axes, workload.norm_eps)


def gan(workload: Gan, params: Params) -> Callable[[Batch], dict[str, Array]]:
    def generator(params: Params, stats: Params, z: Array) -> tuple[Array, Params]:
        stats = dict(stats)
        h = jax.nn.relu(batch_norm(params, stats, "g.norm0", dense(params, "g.dense", z), workload))
        h = h.reshape(len(h), workload.seed_side, workload.seed_side, -1)
        for i, spec in enumerate(workload.generator, start=1):
            h = conv(params, spec, h)
            if spec.norm:
                h = jax.nn.relu(batch_norm(params, stats, f"g.norm{i}", h, workload))
        return jnp.tanh(h), stats

    def discriminator(params: Params, stats: Params, x: Array) -> tuple[Array, Params]:
        stats = dict(stats)
        for i, spec in enumerate(workload.discriminator, start=1):
            x = conv(params, spec, x)
            if spec.norm:
                x = batch_norm(params, stats, f"d.norm{i}", x, workload)
            x = jax.nn.leaky_relu(x, workload.leak)
        return dense(params, "d.dense", x.reshape(len(x), -1)), stats

    def loss_d(d: Params, g: Params, stats: Params, real: Array, z: Array) -> tuple[Array, Params]:
        fake, stats = generator(g, stats, z)
        on_real, stats = discriminator(d, stats, real)
        on_fake, stats = discriminator(d, stats, lax.stop_gradient(fake))
        return jax.nn.softplus(-on_real).mean() + jax.nn.softplus(on_fake).mean(), stats

    def loss_g(g: Params, d: Params, stats: Params, z: Array) -> tuple[Array, Params]:
        fake, stats = generator(g, stats, z)
        on_fake, stats = discriminator(d, stats, fake)
        return jax.nn.softplus(-on_fake).mean(), stats

    optimizer = optax.adam(2e-4)

    @jax.jit
    def update(g: Params, d: Params, g_slots: Any, d_slots: Any, stats: Params, batch: Batch) -> Any:
        real, z_d, z_g = batch["image"], batch["z_d"], batch["z_g"]
        (value_d, stats), grads = jax.value_and_grad(loss_d, has_aux=True)(d, g, stats, real, z_d)
        updates, d_slots = optimizer.update(grads, d_slots, d)
        d = optax.apply_updates(d, updates)
        (value_g, stats), grads = jax.value_and_grad(loss_g, has_aux=True)(g, d, stats, z_g)
        updates, g_slots = optimizer.update(grads, g_slots, g)
        g = optax.apply_updates(g, updates)
        return g, d, g_slots, d_slots, stats, {"d": value_d, "g": value_g}

    g, d = ({name: x for name, x in params.items() if name.startswith(prefix)} for prefix in ("g.", "d."))
    stats = {f"mean/{name}": jnp.zeros(size) for name, size in workload.norm_specs().items()}
    stats |= {f"var/{name}": jnp.ones(size) for name, size in workload.norm_specs().items()}
    return loop(update, g, d, optimizer.init(g), optimizer.init(d), stats)


def autoencoder(workload: Autoencoder, params: Params, batch: Batch) -> Array:
    def block(specs: tuple[Conv, ...], h: Array) -> Array:
        return jax.nn.relu(h + conv(params, specs[1], jax.nn.relu(conv(params, specs[0], h)))) if specs else h

    x = batch["image"]
    h = x
    for spec, specs in zip(workload.encoder, workload.encoder_blocks, strict=True):
        h = block(specs, jax.nn.relu(conv(params, spec, h)))
    h = dense(params, "dec.dense", dense(params, "enc.dense", h.reshape(len(h), -1)))
    h = h.reshape(len(h), workload.seed_side, workload.seed_side, -1)
    for spec, specs in zip(workload.decoder, workload.decoder_blocks, strict=True):
        h = conv(params, spec, block(specs, jax.nn.relu(h)))
    return jnp.square(jax.nn.sigmoid(h) - x).sum() / len(x)


def lm(workload: Lm, params: Params, batch: Batch) -> Array:
    token_BT, next_BT = batch["token"][:, :-1], batch["token"][:, 1:]
    heads = (*token_BT.shape, workload.heads, workload.head_width)
    h_BTD = params["tok"][token_BT] + params["pos"]
    for name in (f"h{i}" for i in range(workload.layers)):
        x_BTD = normalise(params, f"{name}.norm1", h_BTD, (-1,), workload.norm_eps)
        q, k, v = (x.reshape(heads) for x in jnp.split(dense(params, f"{name}.qkv", x_BTD), 3, axis=-1))
        a_BTD = jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(h_BTD.shape)
        h_BTD += dense(params, f"{name}.out", a_BTD)
        x_BTD = normalise(params, f"{name}.norm2", h_BTD, (-1,), workload.norm_eps)
        h_BTD += dense(params, f"{name}.down", jax.nn.gelu(dense(params, f"{name}.up", x_BTD)))
    logits_BTV = normalise(params, "norm", h_BTD, (-1,), workload.norm_eps) @ params["tok"].T
    return optax.softmax_cross_entropy_with_integer_labels(logits_BTV, next_BT).mean()
