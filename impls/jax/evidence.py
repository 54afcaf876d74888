"""What was on in a step, asked of JAX where it can be."""

import os
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from . import backend, layers, loss_scale

STEP = "jit_step"  # what XLA calls the program of every workload's `step`


@jax.tree_util.register_static  # without leaves, so that it can go with the state through the step
class Program(NamedTuple):
    """What a state is trained with."""

    forms: layers.Forms
    step: Any  # the jitted function


def seen(program: Program, *all_slots: Any) -> dict[str, str | bool]:
    """What was on in any workload; `all_slots` are those of its optimizers."""
    forms = program.forms
    return {
        "jit": hasattr(program.step, "lower"),
        "compiled_once": program.step._cache_size() == 1,
        "donation": backend.donates(),
        "fused_optimizer": "by XLA",  # all of the step is one program
        "optimizer_kernel": "XLA",
        "products": str(forms.product),
        "matrix_products": "operands laid out row by row" if forms.straight else "as they lie",
        "tf32": jax.config.jax_default_matmul_precision == "tensorfloat32",
        "gradient_exchange": gradient_exchange(),
        "loss_scaling": any(isinstance(slots, loss_scale.Scaled) for slots in all_slots),
        "onednn": flag("xla_cpu_use_onednn"),
        "fast_math": flag("xla_cpu_enable_fast_math") or flag("xla_gpu_enable_fast_min_max"),
        "allocator": allocator(),
        "subnormals": subnormals(),
    }


IMAGES = {"convolutions": "XLA", "layout": "NHWC", "transposed_convolution": layers.TRANSPOSED}  # if there are any


def gradient_exchange() -> str:
    """The all-reduces that stand in the compiled step, and whether they go on beside other work."""
    if backend.samples is None:  # a program of one device has none, and not every runtime hands its programs' text out
        return "none"
    modules = (module for one in jax.devices()[0].client.live_executables() for module in one.hlo_modules())
    found = [
        (start, operands.count("%"))
        for text in (module.to_string() for module in modules if module.name == STEP)
        for start, operands in re.findall(r" all-reduce(-start)?\(([^)]*)\)", text)
    ]
    if not found:
        return "none"
    overlap = "overlapping" if all(start for start, _ in found) else "not overlapping"
    return f"XLA's all-reduce, {len(found)} a step, of {sum(arrays for _, arrays in found)} arrays, {overlap}"


def subnormals() -> str:
    """What becomes of 1e-40, which is no normal float32."""
    square = float(jax.jit(jnp.square)(jnp.float32(1e-20)))
    return "kept" if square else "flushed"


def flag(name: str) -> bool:
    """Whether one of XLA's flags that are off by default was put on."""
    return f"{name}=true" in os.environ.get("XLA_FLAGS", "")


def allocator() -> str:
    """Whose memory it is."""
    if jax.default_backend() == "cpu":
        return "C library, memory kept" if "MALLOC_MMAP_THRESHOLD_" in os.environ else "C library"
    return os.environ.get("XLA_PYTHON_CLIENT_ALLOCATOR", "XLA's pool")
