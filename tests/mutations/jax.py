"""How to plant each mistake in JAX."""

from tests.mutations.mistakes import Edit


def gan(old: str, new: str) -> Edit:
    return Edit(file="gan.py", old=old, new=new)


def lm(old: str, new: str) -> Edit:
    return Edit(file="lm.py", old=old, new=new)


def autoencoder(old: str, new: str) -> Edit:
    return Edit(file="autoencoder.py", old=old, new=new)


def layers(old: str, new: str) -> Edit:
    return Edit(file="layers.py", old=old, new=new)


def optimizers(old: str, new: str) -> Edit:
    return Edit(file="optimizers.py", old=old, new=new)


def exchange(old: str, new: str) -> Edit:
    return Edit(file="exchange.py", old=old, new=new)


D_STEP = 'state, loss_d = update_discriminator(net, training, state, batch["image"], batch["z_d"])'
G_STEP = 'state, loss_g = update_generator(net, training, state, batch["z_g"])'
PMEAN = "value, grads = jax.tree.map(partial(lax.pmean, axis_name=DATA), (value, grads))"
CLIP = "optax.clip_by_global_norm(optimizer.clip)"

GAN: dict[str, tuple[Edit, ...] | str] = {
    "norm-variance-unbiased": (
        layers("jnp.sqrt(var_G1F + eps)", "jnp.sqrt(x_GNF.var(-2, keepdims=True, ddof=1) + eps)"),
    ),
    "running-variance-unbiased": (
        layers("(mean_G1F, var_G1F), strict", "(mean_G1F, x_GNF.var(-2, keepdims=True, ddof=1)), strict"),
    ),
    "norm-momentum-reversed": (
        layers("momentum * running_GF + (1 - momentum) * now_G1F", "(1 - momentum) * running_GF + momentum * now_G1F"),
    ),
    "norm-eps": (layers("jnp.sqrt(var_G1F + eps)", "jnp.sqrt(var_G1F + 1e-5)"),),
    "running-statistics-of-the-wrong-pass": (
        gan("discriminator(net, d, after_g, real", "discriminator(net, d, state.stats, real"),
    ),
    "running-statistics-of-d-frozen": (gan(".mean(), after_d", ".mean(), after_g"),),
    "padding-shifted": (layers("[(spec.pad_before, spec.pad_after)] * 2", "[(spec.pad_after, spec.pad_before)] * 2"),),
    "kernel-not-flipped": (layers("w_HWIO[::-1, ::-1]", "w_HWIO"),),
    "leaky-slope": (layers("jnp.where(x > 0, x, leak * x)", "jax.nn.leaky_relu(x)"),),  # JAX's default
    "tanh-left-out": (gan("return layers.rounded(jnp.tanh, h_BHWC), stats", "return h_BHWC, stats"),),
    "generator-through-old-discriminator": (
        gan(D_STEP, f"before = state\n    {D_STEP}\n    after = state"),
        gan(G_STEP, G_STEP.replace("state, batch", "state._replace(d=before.d), batch")),
        gan("return state, losses", "return state._replace(d=after.d), losses"),
    ),
    "noise-reused": (gan('state, batch["z_g"])', 'state, batch["z_d"])'),),
    "discriminator-on-real-only": (gan(".mean() + jax.nn.softplus(fake_B1).mean(), after", ".mean(), after"),),
    "saturating-generator-loss": (gan("jax.nn.softplus(-fake_B1)", "-jax.nn.softplus(fake_B1)"),),
    "generator-detached": (gan("jax.nn.relu(h_BF)", "jax.nn.relu(jax.lax.stop_gradient(h_BF))"),),
    "generator-not-detached": (
        gan(
            "    fake_BHWC, after_g = generator(net, state.g, state.stats, z_BZ)\n\n"
            "    def loss(d: optimizers.Arrays) -> tuple[Array, layers.Stats]:\n",
            "    def loss(d: optimizers.Arrays, g: optimizers.Arrays) -> tuple[Array, layers.Stats]:\n"
            "        fake_BHWC, after_g = generator(net, g, state.stats, z_BZ)\n",
        ),
        gan(
            "(value, stats), grads = training.value_and_grad(loss, state.d_slots, has_aux=True)(state.d)",
            "(value, stats), (grads, both) = jax.value_and_grad(loss, (0, 1), has_aux=True)(state.d, state.g)\n"
            "    g, g_slots = training.apply(both, state.g_slots, state.g)",
        ),
        gan("state._replace(d=d, d_slots=d_slots, ", "state._replace(d=d, d_slots=d_slots, g=g, g_slots=g_slots, "),
    ),
}

LM: dict[str, tuple[Edit, ...] | str] = {
    "exact-gelu": (lm("approximate=True", "approximate=False"),),
    "causal-mask-off-by-one": (lm("jnp.tri(context, dtype=bool)", "jnp.tri(context, k=1, dtype=bool)"),),
    "attention-scale-missing": (lm("layers.wide(q_BNTK) / width**0.5", "q_BNTK"),),
    "heads-interleaved": (
        lm(
            'jnp.split(layers.dense(params, forms, f"{name}.qkv", x_BTD), 3',
            'jnp.split(layers.dense(params, forms, f"{name}.qkv", x_BTD).reshape(*heads[:3], -1), 3',
        ),
    ),
    "embedding-untied": (lm('h_BTD, params["tok"]', 'h_BTD, jax.lax.stop_gradient(params["tok"])'),),
    "position-off-by-one": (lm('params["pos"]', 'params["pos"][jnp.arange(1, token_BT.shape[1] + 1)]'),),
    "labels-not-shifted": (lm("token_BS[:, 1:, None]", "token_BS[:, :-1, None]"),),
    "layer-norm-eps": (lm("params, eps=workload.norm_eps)", "params, eps=1e-6)"),),
    "layer-norm-variance-unbiased": (
        layers("jnp.square(centred_BD).mean(-1, keepdims=True)", "x_BD.var(-1, keepdims=True, ddof=1)"),
    ),
    "decay-on-everything": (optimizers(", mask=decayed)", ")"),),
    "l2-for-decoupled-decay": (optimizers("links.insert(1, ", "links.insert(0, "),),
}

TRAINED: dict[str, tuple[Edit, ...] | str] = {
    "mean-for-sum": (autoencoder(".sum() / len(x_BHWC)", ".mean()"),),
    "flattened-as-chw": (layers("x_BHWC.reshape(len", "x_BHWC.transpose(0, 3, 1, 2).reshape(len"),),
    "sigmoid-left-out": (autoencoder("return layers.rounded(jax.nn.sigmoid, h_BHWC)", "return h_BHWC"),),
    "eps-hat": (
        optimizers(
            "m_hat / (jnp.sqrt(v_hat) + optimizer.eps)",
            "m_hat * jnp.sqrt(one_minus_power(beta2, steps, v.dtype)) / (jnp.sqrt(v) + optimizer.eps)",
        ),
    ),
    "eps-inside-the-root": (optimizers("(jnp.sqrt(v_hat) + optimizer.eps)", "jnp.sqrt(v_hat + optimizer.eps)"),),
    "eps-1e-7": (optimizers("jnp.sqrt(v_hat) + optimizer.eps", "jnp.sqrt(v_hat) + 1e-7"),),
    "bias-correction-missing": (
        optimizers("m / one_minus_power(beta1, steps, m.dtype)", "m"),
        optimizers("v / one_minus_power(beta2, steps, v.dtype)", "v"),
    ),
    "bias-correction-off-by-one": (optimizers("steps.astype(dtype)", "(steps + 1).astype(dtype)"),),
    "bias-correction-in-float32": (  # as optax has it
        optimizers(
            "-jnp.expm1(steps.astype(dtype) * math.log(beta))", "(1 - jnp.float32(beta) ** steps).astype(dtype)"
        ),
    ),
    "rmsprop-eps-inside-the-root": (optimizers("eps_in_sqrt=False", "eps_in_sqrt=True"),),  # optax's default
    "rmsprop-rate-in-momentum": (
        optimizers("optax.chain(scaled, optax", "optax.chain(scaled, step_size(optimizer), optax"),
        optimizers("links = [direction(optimizer), step_size(optimizer)]", "links = [direction(optimizer)]"),
    ),
    "rmsprop-not-centered": (
        optimizers(
            "return optax.chain(scaled, ",
            "plain = optax.scale_by_rms(optimizer.smoothing, optimizer.eps, eps_in_sqrt=False)\n\n"
            "            def update(grads: Any, state: Any, params: Any = None) -> Any:\n"
            "                return plain.update(grads, state)[0], scaled.update(grads, state)[1]\n\n"
            "            return optax.chain(optax.GradientTransformation(scaled.init, update), ",
        ),
    ),
    "sgd-dampened": (
        optimizers(
            "return optax.trace(optimizer.momentum, nesterov=optimizer.nesterov)",
            "return optax.chain(optax.scale(1 - optimizer.momentum), optax.trace(optimizer.momentum))",
        ),
    ),
    "nesterov-left-out": (optimizers(", nesterov=optimizer.nesterov", ""),),
    "clipped-per-tensor": (
        optimizers(
            CLIP,
            "optax.stateless(lambda grads, _: {name: grad * optimizer.clip / "
            "jnp.maximum(optax.global_norm(grad), optimizer.clip) for name, grad in grads.items()})",
        ),
    ),
    "clip-adds-1e-6": (
        optimizers(
            CLIP,
            "optax.stateless(lambda grads, _: {name: grad * jnp.minimum(optimizer.clip / "
            "(optax.global_norm(grads) + 1e-6), 1) for name, grad in grads.items()})",
        ),
    ),
    "clipped-by-value": (optimizers(CLIP, "optax.clip(optimizer.clip)"),),
    "schedule-off-by-one": (optimizers("range(1, optimizer.total + 1)", "range(optimizer.total)"),),
    "warm-up-left-out": (optimizers("optimizer.rate(t)", "optimizer.rate(max(t, optimizer.warmup))"),),
    "gradients-not-cleared": "gradients are values, made anew in each step: there is nothing to clear",
}

DEVICES: dict[str, tuple[Edit, ...] | str] = {
    "gradients-summed": (
        exchange(
            PMEAN,
            "value = lax.pmean(value, DATA)\n        grads = jax.tree.map(partial(lax.psum, axis_name=DATA), grads)",
        ),
    ),
    "parameter-not-exchanged": (
        exchange(PMEAN, f"own = grads\n        {PMEAN}\n        grads |= {{min(own): own[min(own)]}}"),
    ),
    "shard-of-another": (
        Edit(
            file="backend.py",
            old="jnp.array(array, device=samples)",
            new="jnp.array(array[np.arange(len(array)) % (len(array) // len(in_use))], device=samples)",
        ),
    ),
    "statistics-of-the-device": (
        gan("layers.choose(request), request.cell.groups_per_device", "layers.choose(request), 1"),
        gan("groups, dtype = request.cell.norm_groups, ", "groups, dtype = request.cell.devices, "),
    ),
}

EDITS = GAN | LM | TRAINED | DEVICES
