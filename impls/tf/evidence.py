"""What was on in a step, and operations on their own, for the proof of those that `--kernels best` takes."""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from . import exchange
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


def seen(step: exchange.Compiled) -> dict[str, str | bool]:
    """What was on, as far as it can be seen in the function that was called."""
    operations = operations_of(step)
    kinds = {operation.type for operation in operations}
    # TensorFlow compiles all of a function that has the mark, or fails.
    jit = all(piece.function_def.attr["_XlaMustCompile"].b for piece in step.pieces or (step.graph,))
    updates = sorted(kind for kind in kinds if kind.startswith("ResourceApply"))
    names = {"DepthToSpace": "phases", "Conv2DBackpropInput": "native"}
    transposed = " + ".join(name for kind, name in names.items() if kind in kinds)
    # Long sums as a product with ones (MatVec) are no product of the network.
    products = {o.get_attr("T").name for o in operations if o.type in PRODUCTS and "MatVec" not in o.name}
    convolutions = "XLA" if jit else "oneDNN" if onednn() else "Eigen"
    found: dict[str, str | bool] = {
        "allocator": "TensorFlow's, memory kept",
        "compiled_once": step.function.experimental_get_tracing_count() == 1,
        "donation": "in place",
        "fast_math": "xla_cpu_enable_fast_math=true" in os.environ.get("XLA_FLAGS", ""),
        "gradient_exchange": gradient_exchange(step),
        "fused_optimizer": "by XLA" if jit else bool(updates),
        "jit": jit,
        "loss_scaling": "MulNoNan" in kinds,
        "onednn": not jit and onednn(),
        "optimizer_kernel": "XLA" if jit else " + ".join(updates),
        "products": " + ".join(sorted(products)),
        "subnormals": "kept" if float(square(tf.constant(1e-20))) else "flushed",
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }
    if not transposed:
        return found
    return found | {"convolutions": convolutions, "layout": "NHWC", "transposed_convolution": transposed}


square = tf.function(tf.square, autograph=False)  # of 1e-20 it is no normal float32


def onednn() -> bool:
    """Whether kernels that TensorFlow's graphs take on a processor may be oneDNN's."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1"


def operations_of(step: exchange.Compiled) -> list[tf.Operation]:
    """All of a device, and those between the devices."""
    return [operation for function in (step.graph, *step.pieces) for operation in function.graph.get_operations()]


def gradient_exchange(step: exchange.Compiled) -> str:
    """What reduces, how often in a step, and whether it overlaps: every reduction needs all that a piece gives."""
    if not step.pieces:
        return "none"
    by = type(exchange.strategy()).__name__
    operations = step.graph.graph.get_operations()
    reductions = [operation for operation in operations if operation.type.startswith("CollectiveReduce")]
    if not reductions:
        return f"{by}, none"
    hints = sorted({operation.get_attr("communication_hint").decode() for operation in reductions})
    count = len(reductions) // len(step.nets)
    return f"{by}, {count} all-reduce{'s' * (count > 1)} by {' + '.join(hints)}, not overlapping"


def batch_norm(step: exchange.Compiled) -> str:
    """Whose it is, seen in the function that was called."""
    fused = any(operation.type == "FusedBatchNormV3" for operation in operations_of(step))
    return "FusedBatchNormV3" if fused else "written out"
