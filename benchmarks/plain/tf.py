"""The workloads as TensorFlow's tutorials write them: Keras layers and optimizers, a tape, one `tf.function`."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from bench.spec import Conv
from bench.workloads.autoencoder import Autoencoder
from bench.workloads.gan import Gan
from bench.workloads.lm import Lm

Step = Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]


def build(workload: Any, variant: str) -> Step:
    """One training step in place, of a batch on the device."""
    step = {"gan": gan, "autoencoder": autoencoder, "lm": lm}[workload.name](workload)
    return tf.function(step, jit_compile=variant == "xla")


def conv(spec: Conv, **options: Any) -> keras.layers.Layer:
    layer = keras.layers.Conv2DTranspose if spec.transposed else keras.layers.Conv2D
    return layer(spec.outputs, spec.kernel, strides=spec.stride, padding="same", **options)


def adam(workload: Any) -> keras.optimizers.Optimizer:
    numbers = workload.optimizer(workload.default_optimizer)
    betas = {"beta_1": numbers.beta1, "beta_2": numbers.beta2}
    if not numbers.weight_decay:
        return keras.optimizers.Adam(numbers.lr, **betas)
    optimizer = keras.optimizers.AdamW(numbers.lr, weight_decay=numbers.weight_decay, **betas)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def gan(workload: Gan) -> Step:
    def norm() -> keras.layers.Layer:
        return keras.layers.BatchNormalization(momentum=workload.norm_momentum, epsilon=workload.norm_eps)

    side, channels = workload.seed_side, workload.seed_channels
    generator = keras.Sequential([keras.layers.Input((workload.z,))])
    for layer in (keras.layers.Dense(side * side * channels, use_bias=False), norm(), keras.layers.ReLU()):
        generator.add(layer)
    generator.add(keras.layers.Reshape((side, side, channels)))
    for spec in workload.generator:
        generator.add(conv(spec, use_bias=False, activation=None if spec.norm else "tanh"))
        if spec.norm:
            generator.add(norm())
            generator.add(keras.layers.ReLU())
    discriminator = keras.Sequential([keras.layers.Input((workload.side, workload.side, workload.channels))])
    for spec in workload.discriminator:
        discriminator.add(conv(spec, use_bias=not spec.norm))
        if spec.norm:
            discriminator.add(norm())
        discriminator.add(keras.layers.LeakyReLU(negative_slope=workload.leak))
    discriminator.add(keras.layers.Flatten())
    discriminator.add(keras.layers.Dense(1))
    g_adam, d_adam = adam(workload), adam(workload)
    g_adam.build(generator.trainable_variables)
    d_adam.build(discriminator.trainable_variables)
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def step(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        fake = generator(batch["z_d"], training=True)
        with tf.GradientTape() as tape:
            real_logits = discriminator(batch["image"], training=True)
            fake_logits = discriminator(fake, training=True)
            loss_d = entropy(tf.ones_like(real_logits), real_logits) + entropy(tf.zeros_like(fake_logits), fake_logits)
        d_adam.apply(tape.gradient(loss_d, discriminator.trainable_variables))
        with tf.GradientTape() as tape:
            fake_logits = discriminator(generator(batch["z_g"], training=True), training=True)
            loss_g = entropy(tf.ones_like(fake_logits), fake_logits)
        g_adam.apply(tape.gradient(loss_g, generator.trainable_variables))
        return {"discriminator": loss_d, "generator": loss_g}

    return step


def autoencoder(workload: Autoencoder) -> Step:
    inputs = h = keras.layers.Input((workload.side, workload.side, workload.channels))

    def block(h: Any, specs: tuple[Conv, ...]) -> Any:
        if not specs:
            return h
        inner = conv(specs[0], activation="relu")(h)
        return keras.layers.ReLU()(keras.layers.Add()([h, conv(specs[1])(inner)]))

    for spec, specs in zip(workload.encoder, workload.encoder_blocks, strict=True):
        h = block(conv(spec, activation="relu")(h), specs)
    h = keras.layers.Dense(workload.code)(keras.layers.Flatten()(h))
    h = keras.layers.Dense(workload.features, activation="relu")(h)
    h = keras.layers.Reshape((workload.seed_side, workload.seed_side, workload.seed_channels))(h)
    for i, (spec, specs) in enumerate(zip(workload.decoder, workload.decoder_blocks, strict=True), start=1):
        last = i == len(workload.decoder)
        h = conv(spec, activation="sigmoid" if last else "relu")(block(h, specs))
    return trained(workload, keras.Model(inputs, h), "reconstruction")


class Transformer(keras.Model):
    """The decoder, its output tied to the embedding."""

    def __init__(self, workload: Lm) -> None:
        super().__init__()

        def norm() -> keras.layers.Layer:
            return keras.layers.LayerNormalization(epsilon=workload.norm_eps)

        def up() -> keras.layers.Layer:
            return keras.layers.Dense(4 * workload.width, activation=keras.ops.gelu)  # its tanh form

        self.tok = keras.layers.Embedding(workload.vocabulary, workload.width)
        self.pos = keras.layers.Embedding(workload.context, workload.width)
        self.norms = [norm() for _ in range(2 * workload.layers + 1)]
        heads, levels = (workload.heads, workload.head_width), range(workload.layers)
        self.attentions = [keras.layers.MultiHeadAttention(*heads) for _ in levels]
        self.ups, self.downs = [up() for _ in levels], [keras.layers.Dense(workload.width) for _ in levels]

    def call(self, token: tf.Tensor) -> tf.Tensor:
        h = self.tok(token) + self.pos(tf.range(token.shape[1]))
        for i, attention in enumerate(self.attentions):
            x = self.norms[2 * i](h)
            h = h + attention(x, x, use_causal_mask=True)
            h = h + self.downs[i](self.ups[i](self.norms[2 * i + 1](h)))
        return tf.matmul(self.norms[-1](h), self.tok.embeddings, transpose_b=True)


def lm(workload: Lm) -> Step:
    model = Transformer(workload)
    model(tf.zeros((1, workload.context), tf.int64))
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return trained(workload, model, "cross_entropy", entropy)


def trained(workload: Any, model: keras.Model, name: str, entropy: Any = None) -> Step:
    """The step of a model with one update."""
    optimizer = adam(workload)
    optimizer.build(model.trainable_variables)

    def step(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            if entropy:
                loss = entropy(batch["token"][:, 1:], model(batch["token"][:, :-1], training=True))
            else:
                error = tf.square(model(batch["image"], training=True) - batch["image"])
                loss = tf.reduce_mean(tf.reduce_sum(error, (1, 2, 3)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        return {name: loss}

    return step
