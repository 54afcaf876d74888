"""What was on in a step, and operations on their own, for the proof of those that `--kernels best` takes."""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from .layers import Arrays


def trial(
    function: Callable[..., tuple[tf.Tensor, tf.Tensor]], arrays: Arrays, cotangent: NDArray[Any], dtype: str
) -> dict[str, NDArray[Any]]:
    """Outputs `y` and `statistics` of a function of tensors by name, and what `cotangent` of y gives each of them."""
    inputs = {name: tf.constant(array, dtype) for name, array in arrays.items()}

    @tf.function(autograph=False)
    def run() -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y, statistics = function(**inputs)
        gradients = tape.gradient(y, inputs, tf.constant(cotangent, dtype))
        return {"y": y, "statistics": statistics} | {f"d{name}": gradient for name, gradient in gradients.items()}

    return {name: tensor.numpy() for name, tensor in run().items()}


def seen(
    function: tf.types.experimental.PolymorphicFunction, graph: tf.types.experimental.ConcreteFunction
) -> dict[str, str | bool]:
    """What was on, as far as it can be seen in the function that was called."""
    kinds = {operation.type for operation in graph.graph.get_operations()}
    jit = graph.function_def.attr["_XlaMustCompile"].b  # TensorFlow compiles all of it, or fails
    names = {"DepthToSpace": "phases", "Conv2DBackpropInput": "native"}
    transposed = " + ".join(name for kind, name in names.items() if kind in kinds)
    found: dict[str, str | bool] = {
        "compiled_once": function.experimental_get_tracing_count() == 1,
        "fused_batch_norm": "FusedBatchNormV3" in kinds,
        "jit": jit,
        "layout": "NHWC",
        "onednn": not jit and os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1",
        "optimizer_kernel": " + ".join(sorted(kind for kind in kinds if kind.startswith("ResourceApply"))),
    }
    return found | ({"transposed_conv": transposed} if transposed else {})
