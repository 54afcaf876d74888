"""How each mistake gets into the TensorFlow implementation."""

from tests.mutations.mistakes import Edit

CONVOLVE = '    return tf.nn.conv2d(x_BHWL, w_HWLS, spec.stride, "SAME")'
SHIFTED = """    return tf.nn.conv2d(
        tf.pad(x_BHWL, ((0, 0), *[(spec.pad_after, spec.pad_before)] * 2, (0, 0))), w_HWLS, spec.stride, "VALID"
    )"""
DETACHED = "tf.reshape(tf.nn.relu(h_BF), (-1, side, side, channels))"
LOSS_G = "tf.reduce_mean(tf.nn.softplus(-discriminator(net, optimizers.weights(net.d), fake_BHWC)))"
RECONSTRUCTION = "layers.total(forms, tf.square(y_BHWC - x_BHWC)) / layers.number(workload.batch, x_BHWC)"
CORRECTIONS = "tf.unstack(-tf.math.expm1(tf.cast(t, rate.dtype) * logs))"
EPS = "epsilon=tf.cast(tf.constant(numbers.eps, rate.dtype) * root, dtype)"
CLIPPED = "    return [g_N * scale for g_N in all_N]"
UPDATES = 'losses["generator"] = update(derive_generator, net, net.g, z_g_BZ)'
DISCRIMINATED = 'losses = {"discriminator": update(derive_discriminator, net, net.d, real_BHWC, z_d_BZ)}'
ADAM = """    tf.raw_ops.ResourceApplyAdam(
        var=vector.p_N.handle, m=vector.slots["m"].handle, v=vector.slots["v"].handle, grad=g_N,
        beta1_power=tf.constant(0, dtype), beta2_power=tf.constant(0, dtype),
        lr=tf.cast(rate * root / correction1, dtype),
        beta1=when(tf.constant(beta1, dtype), 1.0), beta2=when(tf.constant(beta2, dtype), 1.0),
        epsilon=tf.cast(tf.constant(numbers.eps, rate.dtype) * root, dtype),
    )  # fmt: skip
"""
JOINED = "    return [_joined(vector, gradients) for vector in training.vectors]"


def layers(old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file="layers.py", old=old, new=new),)


def convolutions(old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file="convolutions.py", old=old, new=new),)


def optimizers(old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file="optimizers.py", old=old, new=new),)


def gan(old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file="gan.py", old=old, new=new),)


def lm(old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file="lm.py", old=old, new=new),)


def autoencoder(old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file="autoencoder.py", old=old, new=new),)


def exchange(old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file="exchange.py", old=old, new=new),)


BESSEL = "x_GMF.shape[1] / (x_GMF.shape[1] - 1)"
EDITS: dict[str, tuple[Edit, ...] | str] = {
    "norm-variance-unbiased": layers(
        "var_G1F = tf.reduce_mean(tf.square(centred_GMF), 1, keepdims=True)",
        f"var_G1F = tf.reduce_mean(tf.square(centred_GMF), 1, keepdims=True) * number({BESSEL}, x)",
    ),
    "running-variance-unbiased": layers(
        "tf.concat((mean_G1F, var_G1F), 2)[:, 0]", f"tf.concat((mean_G1F, var_G1F * number({BESSEL}, x)), 2)[:, 0]"
    ),
    "norm-momentum-reversed": gan("layers.number(1.0 - momentum, change_GA)", "layers.number(momentum, change_GA)"),
    "norm-eps": gan("eps=net.workload.norm_eps)", "eps=1e-5)"),
    "running-statistics-of-the-wrong-pass": (
        *gan(
            "    follow(net.g_running_GA, all_GF, workload.norm_momentum)",
            "    if not update:\n        follow(net.g_running_GA, all_GF, workload.norm_momentum)",
        ),
        *gan(
            "def generator(net: Net, params: layers.Params, z_BZ: tf.Tensor)",
            "def generator(net: Net, params: layers.Params, z_BZ: tf.Tensor, update: bool = False)",
        ),
        *gan("generator(net, params, z_BZ)", "generator(net, params, z_BZ, update=True)"),
    ),
    "running-statistics-of-d-frozen": (
        *gan(
            "    follow(net.d_running_GA, all_GF, workload.norm_momentum)",
            "    if trained:\n        follow(net.d_running_GA, all_GF, workload.norm_momentum)",
        ),
        *gan(
            "def discriminator(net: Net, params: layers.Params, x_BHWC: tf.Tensor)",
            "def discriminator(net: Net, params: layers.Params, x_BHWC: tf.Tensor, trained: bool = True)",
        ),
        *gan("optimizers.weights(net.d), fake_BHWC)", "optimizers.weights(net.d), fake_BHWC, trained=False)"),
    ),
    "padding-shifted": convolutions(CONVOLVE, SHIFTED),
    "kernel-not-flipped": convolutions(
        "w_jjSrrL = tf.transpose(tf.reverse(w_jrjrLS, (0, 2)), (0, 2, 5, 1, 3, 4))",
        "w_jjSrrL = tf.transpose(w_jrjrLS, (0, 2, 5, 1, 3, 4))",
    ),
    "leaky-slope": gan("x_BHWC, workload.leak)", "x_BHWC, 0.01)"),
    "tanh-left-out": gan("return tf.tanh(layers.wide(net.forms, h_BHWC))", "return layers.wide(net.forms, h_BHWC)"),
    "generator-through-old-discriminator": (
        *gan(DISCRIMINATED, f"old = optimizers.weights(net.d)\n    {DISCRIMINATED}"),
        *gan(UPDATES, UPDATES.replace("z_g_BZ)", "z_g_BZ, old)")),
        *gan(
            "def derive_generator(net: Net, z_BZ: tf.Tensor)",
            "def derive_generator(net: Net, z_BZ: tf.Tensor, old: layers.Params)",
        ),
        *gan("discriminator(net, optimizers.weights(net.d), fake_BHWC)", "discriminator(net, old, fake_BHWC)"),
    ),
    "noise-reused": gan(UPDATES, UPDATES.replace("z_g_BZ", "z_d_BZ")),
    "discriminator-on-real-only": gan(
        "loss = loss_real + tf.reduce_mean(tf.nn.softplus(discriminator(net, params, fake_BHWC)))", "loss = loss_real"
    ),
    "saturating-generator-loss": gan(LOSS_G, "-" + LOSS_G.replace("softplus(-", "softplus(")),
    "generator-detached": (
        *gan(DETACHED, f"tf.stop_gradient({DETACHED})"),
        *gan(
            "tape.gradient(loss, params, loss_scale.of_loss(net.g.scaling))",
            'tape.gradient(loss, params, unconnected_gradients="zero")',
        ),
    ),
    "generator-not-detached": (
        *gan(
            "    fake_BHWC = generator(net, optimizers.weights(net.g), z_BZ)\n    params = optimizers.weights(net.d)\n",
            "    g_params, params = optimizers.weights(net.g), optimizers.weights(net.d)\n",
        ),
        *gan(
            "        tape.watch(params)\n        loss_real",
            "        tape.watch((params, g_params))\n"
            "        fake_BHWC = generator(net, g_params, z_BZ)\n        loss_real",
        ),
        *gan(
            "    gradients = tape.gradient(loss, params, loss_scale.of_loss(net.d.scaling))",
            "    gradients, g_gradients = tape.gradient(loss, (params, g_params))\n"
            "    optimizers.update(net.g, optimizers.joined(net.g, g_gradients))",
        ),
    ),
    "exact-gelu": lm(
        'layers.gelu(layers.wide(forms, layers.dense(params, forms, f"{name}.up", x_MD)))',
        'tf.nn.gelu(layers.wide(forms, layers.dense(params, forms, f"{name}.up", x_MD)))',
    ),
    "causal-mask-off-by-one": lm("np.tri(side, dtype=bool)", "np.tri(side, k=1, dtype=bool)"),
    "attention-scale-missing": lm("layers.number(q_BNTK.shape[3] ** -0.5, q_BNTK)", "layers.number(1.0, q_BNTK)"),
    "heads-interleaved": (
        *lm(
            "shape = (-1, workload.context, 3, workload.heads, workload.head_width)",
            "shape = (-1, workload.context, workload.heads, 3, workload.head_width)",
        ),
        *lm("tf.transpose(qkv_BT3NK, (2, 0, 3, 1, 4))", "tf.transpose(qkv_BT3NK, (3, 0, 2, 1, 4))"),
    ),
    "embedding-untied": lm(
        "tf.matmul(x_MD, tok_VD, transpose_b=True)",
        "tf.matmul(x_MD, tf.stop_gradient(tok_VD), transpose_b=True)",
    ),
    "position-off-by-one": lm(
        'embed(params["tok"], token_BT) + params["pos"]',
        'embed(params["tok"], token_BT) + tf.roll(params["pos"], -1, 0)',
    ),
    "labels-not-shifted": lm("tf.reshape(token_BS[:, 1:], (-1,))", "tf.reshape(token_BS[:, :-1], (-1,))"),
    "layer-norm-eps": layers("var_B1 + number(eps, x_BF)", "var_B1 + number(1e-6, x_BF)"),
    "layer-norm-variance-unbiased": layers(
        "var_B1 = tf.reduce_mean(tf.square(centred_BF), 1, keepdims=True)",
        "var_B1 = tf.reduce_sum(tf.square(centred_BF), 1, keepdims=True) / number(x_BF.shape[1] - 1, x_BF)",
    ),
    "decay-on-everything": optimizers("optimizer.weight_decay if specs[name].decay else 0.0", "optimizer.weight_decay"),
    "l2-for-decoupled-decay": optimizers(
        "vector.p_N.assign(vector.p_N * tf.cast(1.0 - rate * tf.constant(vector.weight_decay, rate.dtype), dtype))",
        "g_N += vector.p_N * tf.constant(vector.weight_decay, dtype)",
    ),
    "mean-for-sum": autoencoder(RECONSTRUCTION, "tf.reduce_mean(tf.square(y_BHWC - x_BHWC))"),
    "flattened-as-chw": autoencoder(
        "tf.reshape(x_BHWC, (-1, workload.features))",
        "tf.reshape(tf.transpose(x_BHWC, (0, 3, 1, 2)), (-1, workload.features))",
    ),
    "sigmoid-left-out": autoencoder(
        "layers.rounded(forms, tf.sigmoid(layers.wide(forms, logits_BHWC)))",
        "layers.wide(forms, logits_BHWC)",
    ),
    "eps-hat": optimizers(EPS, "epsilon=tf.constant(numbers.eps, dtype)"),
    "eps-inside-the-root": optimizers(
        ADAM,
        """    m_N = vector.slots["m"].assign_add((g_N - vector.slots["m"]) * tf.constant(1 - beta1, dtype))
    v_N = vector.slots["v"].assign_add((tf.square(g_N) - vector.slots["v"]) * tf.constant(1 - beta2, dtype))
    v_hat_N = v_N / tf.cast(correction2, dtype) + tf.constant(numbers.eps, dtype)
    vector.p_N.assign_sub(tf.cast(rate / correction1, dtype) * m_N * tf.math.rsqrt(v_hat_N))
""",
    ),
    "eps-1e-7": optimizers("tf.constant(numbers.eps, rate.dtype) * root", "tf.constant(1e-7, rate.dtype) * root"),
    "bias-correction-missing": optimizers(CORRECTIONS, "tf.unstack(tf.ones(2, rate.dtype))"),
    "bias-correction-off-by-one": optimizers(CORRECTIONS, CORRECTIONS.replace("cast(t,", "cast(t + 1,")),
    "bias-correction-in-float32": optimizers(
        CORRECTIONS,
        "tf.unstack(tf.cast(1.0 - tf.pow(tf.constant([beta1, beta2]), tf.cast(t, tf.float32)), rate.dtype))",
    ),
    "rmsprop-eps-inside-the-root": optimizers(
        "g_N / (tf.sqrt(v_N) + tf.constant(numbers.eps, g_N.dtype))",
        "g_N * tf.math.rsqrt(v_N + tf.constant(numbers.eps, g_N.dtype))",
    ),
    "rmsprop-rate-in-momentum": optimizers(
        "    _sgd(numbers, vector, g_N / (tf.sqrt(v_N) + tf.constant(numbers.eps, g_N.dtype)), rate, t, when)",
        """    step_N = tf.cast(rate, g_N.dtype) * g_N / (tf.sqrt(v_N) + tf.constant(numbers.eps, g_N.dtype))
    _sgd(numbers, vector, step_N, tf.ones_like(rate), t, when)""",
    ),
    "rmsprop-not-centered": optimizers("        v_N = v_N - tf.square(avg_N)\n", ""),
    "sgd-dampened": optimizers(
        'accum=vector.slots["mom"].handle, grad=g_N,',
        'accum=vector.slots["mom"].handle, grad=g_N * tf.constant(1.0 - numbers.momentum, g_N.dtype),',
    ),
    "nesterov-left-out": optimizers(", use_nesterov=numbers.nesterov", ""),
    "clipped-per-tensor": (
        *optimizers(
            JOINED,
            """    clip = training.numbers.clip
    gradients = {name: tf.clip_by_norm(gradient, clip) for name, gradient in gradients.items()}
    return [_joined(vector, gradients) for vector in training.vectors]""",
        ),
    ),
    "clip-adds-1e-6": optimizers(
        "scale = clip / tf.maximum(norm, clip)",
        "scale = clip / tf.maximum(norm + tf.constant(1e-6, norm.dtype), clip)",
    ),
    "clipped-by-value": optimizers(CLIPPED, "    return [tf.clip_by_value(g_N, -clip, clip) for g_N in all_N]"),
    "schedule-off-by-one": optimizers(
        "for number in range(1, numbers.total + 1)]", "for number in range(numbers.total)]"
    ),
    "warm-up-left-out": optimizers(
        "rates = np.array([numbers.rate(number)", "rates = np.array([numbers.rate(max(number, numbers.warmup))"
    ),
    "gradients-not-cleared": (
        *optimizers(
            "    scaling: loss_scale.Scaling | None",
            "    scaling: loss_scale.Scaling | None\n    sums: tuple[tf.Variable, ...]",
        ),
        *optimizers(
            "Training(optimizer, vectors, tf.Variable(0, dtype=tf.int64), loss_scale.build(request))",
            "Training(\n        optimizer, vectors, tf.Variable(0, dtype=tf.int64), loss_scale.build(request),\n"
            "        tuple(tf.Variable(tf.zeros_like(vector.p_N)) for vector in vectors),\n    )",
        ),
        *optimizers(
            "[_joined(vector, gradients) for vector in training.vectors]",
            "[\n        sum_N.assign_add(_joined(vector, gradients))\n"
            "        for vector, sum_N in zip(training.vectors, training.sums, strict=True)\n    ]",
        ),
    ),
    "gradients-summed": exchange("tf.distribute.ReduceOp.MEAN", "tf.distribute.ReduceOp.SUM"),
    "parameter-not-exchanged": exchange(
        "        all_N = mean(all_N)",
        """        firsts = [next(iter(vector.slices.values())).size for vector in training.vectors]
        all_N = [
            tf.concat((own_N[:first], mean_N[first:]), 0)
            for own_N, mean_N, first in zip(all_N, mean(all_N), firsts, strict=True)
        ]""",
    ),
    "shard-of-another": (Edit(file="backend.py", old="_constant(own[d])", new="_constant(own[0])"),),
    "statistics-of-the-device": gan("request.cell.groups_per_device", "1"),
}
