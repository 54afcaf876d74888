"""What can go wrong in an implementation without anybody noticing, by name; `<framework>.py` says how to plant it."""

from dataclasses import dataclass

STEPS = {"tiny": 5, "base-twin": 3}  # by size; a mistake in a network shows at once


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One replacement in a file of an implementation's folder; `old` stands there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A mistake, and the cell in whose float64 trace of so many steps it must show."""

    text: str
    workload: str
    steps: int  # at most as many as `bench verify` takes, which compares the losses of these and of more
    optimizer: str | None = None  # the workload's own
    size: str = "tiny"
    devices: int = 1
    norm_groups: int = 1


def gan(text: str, size: str = "tiny") -> Mistake:
    return Mistake(text=text, workload="gan", size=size, steps=STEPS[size])


def lm(text: str) -> Mistake:
    return Mistake(text=text, workload="lm", steps=STEPS["tiny"])


def trained(text: str, optimizer: str = "adam") -> Mistake:
    """Of what trains, too: warm-up and corrections of the bias take some steps to show."""
    return Mistake(text=text, workload="autoencoder", optimizer=optimizer, steps=20)


def spread(text: str) -> Mistake:
    return Mistake(text=text, workload="gan", devices=2, norm_groups=4, steps=STEPS["tiny"])


MISTAKES = {
    # The GAN
    "norm-variance-unbiased": gan("batch norm divides by n − 1 where it normalises"),
    "running-variance-unbiased": gan("running variance divides by n − 1"),
    "norm-momentum-reversed": gan("running ← 0.2·running + 0.8·batch"),
    "norm-eps": gan("batch norm's ε is 1e-5 for 1e-3"),
    "running-statistics-of-the-wrong-pass": gan("running statistics follow only one of the generator's two passes"),
    "running-statistics-of-d-frozen": gan("D's running statistics ignore its pass in the second update", "base-twin"),
    "padding-shifted": gan("a convolution pads (2, 1) for (1, 2)"),
    "kernel-not-flipped": gan("a transposed convolution correlates where it should convolve"),
    "leaky-slope": gan("leaky relu's slope is 0.01"),
    "tanh-left-out": gan("the generator's images are not bounded"),
    "generator-through-old-discriminator": gan("the generator's loss sees D as it was before its update"),
    "noise-reused": gan("both updates take the noise of the first"),
    "discriminator-on-real-only": gan("D's loss leaves out the generated images"),
    "saturating-generator-loss": gan("the generator minimises log(1 − D) for −log D"),
    "generator-detached": gan("the generator's own loss does not reach a part of it"),
    "generator-not-detached": gan("D's loss moves the generator too"),
    # The language model
    "exact-gelu": lm("GELU by the error function for its tanh form"),
    "causal-mask-off-by-one": lm("a query sees the token after it"),
    "attention-scale-missing": lm("scores are not divided by sqrt(K)"),
    "heads-interleaved": lm("the columns of qkv are taken head by head, not q, k, v"),
    "embedding-untied": lm("the gradient of the logits does not reach the embedding"),
    "position-off-by-one": lm("positions start at 1"),
    "labels-not-shifted": lm("a position predicts its own token"),
    "layer-norm-eps": lm("layer norm's ε is 1e-6 for 1e-5"),
    "layer-norm-variance-unbiased": lm("layer norm divides by D − 1"),
    "decay-on-everything": lm("weight decay on biases and norms too"),
    "l2-for-decoupled-decay": lm("AdamW's decay is added to the gradient"),
    # The autoencoder, and what trains it
    "mean-for-sum": trained("the squared error is averaged over an image"),
    "flattened-as-chw": trained("images are flattened channel by channel"),
    "sigmoid-left-out": trained("the decoder's images are not bounded"),
    "eps-hat": trained("Adam's ε is added before bias correction"),
    "eps-inside-the-root": trained("Adam's ε is added to v̂, inside the root"),
    "eps-1e-7": trained("Adam's ε is 1e-7 for 1e-8"),
    "bias-correction-missing": trained("Adam's m and v are not corrected"),
    "bias-correction-off-by-one": trained("Adam's first update counts as the second"),
    "bias-correction-in-float32": trained("1 − βᵗ is computed in single precision"),
    "rmsprop-eps-inside-the-root": trained("RMSprop's ε is added to v, inside the root", "rmsprop"),
    "rmsprop-rate-in-momentum": trained("RMSprop's momentum holds the rate", "rmsprop-centered+cosine"),
    "rmsprop-not-centered": trained("RMSprop leaves its mean out", "rmsprop-centered"),
    "sgd-dampened": trained("the gradient enters the momentum with 1 − μ", "sgd"),
    "nesterov-left-out": trained("plain momentum for Nesterov's", "sgd-nesterov"),
    "clipped-per-tensor": trained("each tensor's gradient is clipped by its own norm", "sgd+clip"),
    "clip-adds-1e-6": trained("the norm that clips is 1e-6 too large", "sgd+clip"),
    "clipped-by-value": trained("each number of the gradient is clipped", "sgd+clip"),
    "schedule-off-by-one": trained("the rate is that of the update before", "adam+cosine"),
    "warm-up-left-out": trained("the rate starts at its full height", "adam+cosine"),
    "gradients-not-cleared": trained("gradients of the last step are added to this one's"),
    # Several devices
    "gradients-summed": spread("gradients are the sum over the devices for their mean"),
    "parameter-not-exchanged": spread("the gradient of one parameter stays on its device"),
    "shard-of-another": spread("the second device has the samples of the first"),
    "statistics-of-the-device": spread("batch norm has one group a device where there should be two"),
}

# An edit that changes nothing is planted too, and must not be caught.
CONTROL = "nothing"
NOTHING = trained("a comment in other words")
HARMLESS = Edit(file="autoencoder.py", old="Images to codes.", new="Codes from images.")
