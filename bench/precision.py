"""What a precision means: one policy, which every implementation follows and `bench.probes` checks.

`fp64` and `fp32` are IEEE's double and single precision throughout. `tf32` is `fp32`, but products take their inputs
rounded to 11 significant bits, as NVIDIA's tensor cores do. `bf16` and `fp16` are mixed:

- Stored in float32: parameters, their gradients when the optimizer gets them, its slots, running statistics.
- Products (dense layers, convolutions, the two of attention, the logits) take both inputs rounded to 16 bits, add up
  in float32 and round their result to 16 bits once. So do their two gradients; the one to a weight is then widened.
- Biases and element-wise functions (ReLU, GELU, tanh, sigmoid, residual sums of images) give 16 bits, computed in
  float32 and rounded once; a compiler may leave out roundings between them.
- In float32: statistics and arithmetic of norms, whose result is rounded to 16 bits; softmax, between the rounded
  scores and the rounded weights; sums over a batch or over positions (gradients of biases and of embeddings); the
  language model's residual stream, embeddings included; losses, from rounded logits or images.

`fp16` scales the loss, since small gradients would be 0 in it (Micikevicius et al. 2018). Each update (a GAN has two)
has a scale s of its own, 2¹⁶ at first: gradients are taken of s·loss in float32 and divided by s before clipping. If
one is not finite the update does not happen (parameters, slots and t stay as they are, running statistics have
followed the forward pass), s is halved, and the count of good updates starts anew; after 2000 good ones in a row s is
doubled and the count starts anew. `skipped` among a step's losses counts the updates that did not happen so far.
"""

PRECISIONS = ("fp64", "fp32", "tf32", "bf16", "fp16")
MIXED = ("bf16", "fp16")

FIRST_SCALE = 2.0**16
GROWTH = 2.0  # of the scale, after GROWTH_INTERVAL good updates in a row
BACKOFF = 0.5  # of the scale, after an update that was skipped
GROWTH_INTERVAL = 2000

SIGNIFICANT_BITS = {"fp64": 53, "fp32": 24, "tf32": 11, "fp16": 11, "bf16": 8}  # of a product's inputs


def stored(precision: str) -> str:
    """Name of the type that parameters are stored in, and of everything that is no product."""
    return "float64" if precision == "fp64" else "float32"


def product(precision: str) -> str:
    """Name of the type that a product's inputs have."""
    return {"bf16": "bfloat16", "fp16": "float16"}.get(precision, stored(precision))
