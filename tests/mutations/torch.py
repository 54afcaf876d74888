"""How each mistake is planted in PyTorch's implementation, in its variant `eager`."""

from tests.mutations.mistakes import Edit


def edit(file: str, old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file=file, old=old, new=new),)


STEP = """
            class Own(kind):
                @torch.no_grad()
                def step(self) -> None:
                    for group in self.param_groups:
                        for p in group["params"]:
                            kept = self.state[p]
                            if not kept:
                                kept |= {own: torch.zeros_like(p) for own in slots(self).values()}
                                kept["t"] = 0
                            kept["t"] += 1
                            g, t, lr = p.grad, kept["t"], group["lr"]
BODY

            SLOTS[Own] = SLOTS[kind]
"""
ADAM_BUILT = "            return kind(groups, lr, (numbers.beta1, numbers.beta2), numbers.eps, fused=True)"
ADAM = """
m, v, (beta1, beta2), eps = kept["exp_avg"], kept["exp_avg_sq"], group["betas"], numbers.eps
m.lerp_(g, 1.0 - beta1)
v.mul_(beta2).addcmul_(g, g, value=1.0 - beta2)
one, two = 1.0 - beta1**t, 1.0 - beta2**t
p.sub_(lr * (m / one) / ((v / two).sqrt() + eps))
"""
RMSPROP_BUILT = "            return torch.optim.RMSprop(groups,"
RMSPROP = """
v, mom, a = kept["square_avg"], kept["momentum_buffer"], numbers.smoothing
v.mul_(a).addcmul_(g, g, value=1.0 - a)
avg = kept["grad_avg"].mul_(a).add_(g, alpha=1.0 - a) if "grad_avg" in kept else torch.zeros_like(p)
mom.mul_(momentum).add_(g / ((v - avg**2).sqrt() + numbers.eps))
p.sub_(lr * mom)
"""
RATE = """add_(g / ((v - avg**2).sqrt() + numbers.eps))
p.sub_(lr * mom)"""
RATE_IN_MOMENTUM = """add_(lr * g / ((v - avg**2).sqrt() + numbers.eps))
p.sub_(mom)"""


def own_step(body: str, old: str, new: str) -> str:
    """An optimizer written out by hand, one line of it changed."""
    assert body.count(old) == 1, old
    indented = "\n".join(" " * 28 + line for line in body.replace(old, new).strip().splitlines())
    return STEP.replace("BODY", indented)


def adam(old: str, new: str) -> tuple[Edit, ...]:
    return edit("optimizers.py", ADAM_BUILT, own_step(ADAM, old, new) + ADAM_BUILT.replace("kind(", "Own("))


def rmsprop(old: str, new: str) -> tuple[Edit, ...]:
    step = "            kind = torch.optim.RMSprop\n" + own_step(RMSPROP, old, new)
    return edit("optimizers.py", RMSPROP_BUILT, step + RMSPROP_BUILT.replace("torch.optim.RMSprop(", "Own("))


NORM = "        return F.batch_norm(x_BF, mean, var, self.scale, self.shift, True, self.new_share, self.eps)"
NORM_BY_HAND = """        axes, shape = [0, *range(2, x_BF.ndim)], [1, -1, *[1] * (x_BF.ndim - 2)]
        batch_var, batch_mean = torch.var_mean(x_BF, axes)
        mean.lerp_(batch_mean.detach(), self.new_share)
        var.lerp_(batch_var.detach(), self.new_share)
        factor = self.scale * (batch_var + self.eps).rsqrt()
        return (x_BF - batch_mean.view(shape)) * factor.view(shape) + self.shift.view(shape)"""
NORM_WITH_MODES = """        kept = (mean, var) if self.training else (None, None)
        return F.batch_norm(x_BF, *kept, self.scale, self.shift, True, self.new_share, self.eps)"""
FAKE = """    with torch.no_grad():
        fake_BCHW = net.g(z_BZ)
"""
LOSS_D = "    return layers.softplus(-net.d(real_BCHW)).mean() + layers.softplus(net.d(fake_BCHW)).mean()"
LOSS_G = "    return layers.softplus(-net.d(net.g(z_BZ))).mean()"
UPDATE_D = """    state.d_update.step()
    loss_g = state.g_loss(batch["z_g"])
"""
SDPA = "    return F.scaled_dot_product_attention(q_BNTK, k_BNTK, v_BNTK, is_causal=True)"
HEADS = "        q_BTD, k_BTD, v_BTD = self.qkv(x_BTD).chunk(3, dim=-1)"
LAYER_NORM = "        return F.layer_norm(x_BF, self.scale.shape, self.scale, self.shift, self.eps)"
LAYER_NORM_BY_HAND = """        var, mean = torch.var_mean(x_BF, -1, keepdim=True)
        return (x_BF - mean) * (var + self.eps).rsqrt() * self.scale + self.shift"""
SCALE_ALL = "        torch._foreach_mul_(gradients, limit / norm.clamp(min=limit))"
SCALE_EACH = """        for gradient in gradients:
            gradient.mul_(limit / gradient.norm().clamp(min=limit))"""
CLAMP_EACH = """        for gradient in gradients:
            gradient.clamp_(-limit, limit)"""
CLEAR = """            for param in params:
                param.grad = None
"""

WRAP = "    return DistributedDataParallel("
IGNORE = '    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(loss, ["trained.0"])\n'
COPY = 'torch.tensor(array, dtype=torch.int64 if array.dtype.kind in "iu" else None, device=_device)'

EDITS: dict[str, tuple[Edit, ...] | str] = {
    # The GAN
    "norm-variance-unbiased": edit("layers.py", NORM, NORM_BY_HAND),
    "running-variance-unbiased": (
        *edit("layers.py", ".mean(0) / self.unbiased", ".mean(0)"),
        *edit("layers.py", "torch.full_like(self.scale.data, self.unbiased)", "torch.ones_like(self.scale.data)"),
    ),
    "norm-momentum-reversed": edit("layers.py", "= 1.0 - momentum, eps,", "= momentum, eps,"),
    "norm-eps": edit("gan.py", "eps=workload.norm_eps", "eps=1e-5"),
    "running-statistics-of-the-wrong-pass": (
        *edit("layers.py", NORM, NORM_WITH_MODES),
        *edit("gan.py", FAKE, FAKE.replace("net.g(", "net.g.eval()(") + "    net.g.train()\n"),
    ),
    "running-statistics-of-d-frozen": (
        *edit("layers.py", NORM, NORM_WITH_MODES),
        *edit("gan.py", LOSS_G, LOSS_G.replace("net.d(", "net.d.eval()(")),
        *edit("gan.py", LOSS_D, "    net.d.train()\n" + LOSS_D),
    ),
    "padding-shifted": edit("layers.py", "(before, after, before, after)), w_OIHW", "(after, before) * 2), w_OIHW"),
    "kernel-not-flipped": edit(
        "layers.py", "F.conv_transpose2d(x_BIHW, w_IOHW,", "F.conv_transpose2d(x_BIHW, w_IOHW.flip(2, 3),"
    ),
    "leaky-slope": edit("gan.py", "layers.leaky_relu(x_BCHW, self.leak)", "layers.leaky_relu(x_BCHW, 0.01)"),
    "tanh-left-out": edit("gan.py", "torch.tanh(self.convs[-1](h_BCHW))", "self.convs[-1](h_BCHW)"),
    "generator-through-old-discriminator": edit("gan.py", UPDATE_D, "".join(UPDATE_D.splitlines(keepends=True)[::-1])),
    "noise-reused": edit("gan.py", 'state.g_loss(batch["z_g"])', 'state.g_loss(batch["z_d"])'),
    "discriminator-on-real-only": edit("gan.py", LOSS_D, LOSS_D.partition(" +")[0]),
    "saturating-generator-loss": edit("gan.py", LOSS_G, "    return -layers.softplus(net.d(net.g(z_BZ))).mean()"),
    "generator-detached": edit("gan.py", "layers.images(h_BF, self.side)", "layers.images(h_BF.detach(), self.side)"),
    "generator-not-detached": (
        *edit("gan.py", FAKE, "    fake_BCHW = net.g(z_BZ)\n"),
        *edit(
            "gan.py",
            "of_g, of_d = list(net.g.parameters()), list(net.d.parameters())",
            "of_g, of_d = list(net.g.parameters()), list(net.parameters())",
        ),
        *edit("gan.py", UPDATE_D, "    state.g_update.step()\n" + UPDATE_D),
    ),
    # The language model
    "exact-gelu": edit("lm.py", 'F.gelu(self.up(x_BTD), approximate="tanh")', "F.gelu(self.up(x_BTD))"),
    "causal-mask-off-by-one": edit(
        "lm.py",
        SDPA,
        "    mask_TT = q_BNTK.new_ones(q_BNTK.shape[2], k_BNTK.shape[2], dtype=torch.bool).tril(1)\n"
        + SDPA.replace("is_causal=True", "attn_mask=mask_TT"),
    ),
    "attention-scale-missing": edit("lm.py", SDPA, SDPA.replace("is_causal=True", "is_causal=True, scale=1.0")),
    "heads-interleaved": edit(
        "lm.py",
        HEADS,
        "        x_BTNK = self.qkv(x_BTD).unflatten(2, (-1, 3 * self.head_width))\n"
        "        q_BTD, k_BTD, v_BTD = (x.flatten(2) for x in x_BTNK.chunk(3, dim=-1))",
    ),
    "embedding-untied": edit(
        "lm.py", "layers.dense(self.norm(h_BTD), self.tok,", "layers.dense(self.norm(h_BTD), self.tok.detach(),"
    ),
    "position-off-by-one": edit("lm.py", "+ self.pos\n", "+ self.pos.roll(-1, 0)\n"),
    "labels-not-shifted": edit("lm.py", "token_BS[:, 1:].flatten()", "token_BS[:, :-1].flatten()"),
    "layer-norm-eps": edit("layers.py", "        self.eps = eps\n", "        self.eps = 1e-6\n"),
    "layer-norm-variance-unbiased": edit("layers.py", LAYER_NORM, LAYER_NORM_BY_HAND),
    "decay-on-everything": edit(
        "optimizers.py", "numbers.weight_decay if specs[name].decay else 0.0", "numbers.weight_decay"
    ),
    "l2-for-decoupled-decay": edit(
        "optimizers.py", 'torch.optim.AdamW if numbers.kind == "adamw" else torch.optim.Adam', "torch.optim.Adam"
    ),
    # The autoencoder, and what trains it
    "mean-for-sum": edit("autoencoder.py", ', reduction="sum") / x_BCHW.shape[0]', ")"),
    "flattened-as-chw": edit("layers.py", "h_BFHW.permute(0, 2, 3, 1).flatten(1)", "h_BFHW.flatten(1)"),
    "sigmoid-left-out": edit("autoencoder.py", "return torch.sigmoid(", "return ("),
    "eps-hat": adam("(m / one) / ((v / two).sqrt() + eps)", "two**0.5 / one * m / (v.sqrt() + eps)"),
    "eps-inside-the-root": adam("((v / two).sqrt() + eps)", "(v / two + eps).sqrt()"),
    "eps-1e-7": edit(
        "optimizers.py", "(numbers.beta1, numbers.beta2), numbers.eps,", "(numbers.beta1, numbers.beta2), 1e-7,"
    ),
    "bias-correction-missing": adam("(m / one) / ((v / two).sqrt() + eps)", "m / (v.sqrt() + eps)"),
    "bias-correction-off-by-one": adam(
        "1.0 - beta1**t, 1.0 - beta2**t", "1.0 - beta1 ** (t + 1), 1.0 - beta2 ** (t + 1)"
    ),
    "bias-correction-in-float32": adam(
        "1.0 - beta1**t, 1.0 - beta2**t", "1.0 - torch.tensor(beta1) ** t, 1.0 - torch.tensor(beta2) ** t"
    ),
    "rmsprop-eps-inside-the-root": rmsprop("((v - avg**2).sqrt() + numbers.eps)", "(v - avg**2 + numbers.eps).sqrt()"),
    "rmsprop-rate-in-momentum": rmsprop(RATE, RATE_IN_MOMENTUM),
    "rmsprop-not-centered": rmsprop("(v - avg**2).sqrt()", "v.sqrt()"),
    "sgd-dampened": edit("optimizers.py", "dampening=0.0", "dampening=momentum"),
    "nesterov-left-out": edit("optimizers.py", "nesterov=numbers.nesterov", "nesterov=False"),
    "clipped-per-tensor": edit("optimizers.py", SCALE_ALL, SCALE_EACH),
    "clip-adds-1e-6": edit("optimizers.py", "limit / norm.clamp(min=limit)", "limit / (norm + 1e-6).clamp(min=limit)"),
    "clipped-by-value": edit("optimizers.py", SCALE_ALL, CLAMP_EACH),
    "schedule-off-by-one": edit("optimizers.py", "numbers.rate(t)", "numbers.rate(t - 1)"),
    "warm-up-left-out": edit("optimizers.py", "numbers.rate(t)", "numbers.rate(t) / min(t / numbers.warmup, 1.0)"),
    "gradients-not-cleared": edit("backend.py", CLEAR, ""),
    # Several devices
    "gradients-summed": edit(
        "exchange.py", "value.backward(self.scale)", "(value * dist.get_world_size()).backward(self.scale)"
    ),
    "parameter-not-exchanged": edit("exchange.py", WRAP, IGNORE + WRAP),
    "shard-of-another": edit("backend.py", COPY, f"exchange.dist.broadcast(copy := {COPY}, src=0) or copy"),
    "statistics-of-the-device": edit("gan.py", "request.cell.groups_per_device", "1"),
}
