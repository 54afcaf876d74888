"""What was on in a step, and operations on their own, for the proof of those that `--kernels best` takes."""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from .layers import Arrays

PRODUCTS = ("MatMul", "BatchMatMulV2", "Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")


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
    operations = graph.graph.get_operations()
    kinds = {operation.type for operation in operations}
    jit = graph.function_def.attr["_XlaMustCompile"].b  # TensorFlow compiles all of it, or fails
    updates = sorted(kind for kind in kinds if kind.startswith("ResourceApply"))
    names = {"DepthToSpace": "phases", "Conv2DBackpropInput": "native"}
    transposed = " + ".join(name for kind, name in names.items() if kind in kinds)
    # Long sums as a product with ones (MatVec) are no product of the network.
    products = {o.get_attr("T").name for o in operations if o.type in PRODUCTS and "MatVec" not in o.name}
    found: dict[str, str | bool] = {
        "compiled_once": function.experimental_get_tracing_count() == 1,
        "donation": "variables, changed in place",
        "fused_batch_norm": "FusedBatchNormV3" in kinds,
        "fused_optimizer": "by XLA" if jit else bool(updates),
        "jit": jit,
        "layout": "NHWC",
        "loss_scaling": "dynamic" if "MulNoNan" in kinds else "none",
        "onednn": not jit and os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1",
        "optimizer_kernel": " + ".join(updates),
        "products": " + ".join(sorted(products)),
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }
    return found | ({"transposed_convolution": transposed} if transposed else {})
