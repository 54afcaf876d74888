"""What the harness must know of this implementation before it imports JAX: pure data."""

NAME = "jax"
MODULE = "jax"
PACKAGES: tuple[tuple[str, ...], ...] = (("jax",), ("jaxlib",), ("optax",))

VARIANTS = ("jit",)
DEFAULT_VARIANT = {"cpu": "jit"}

ENVIRONMENT: dict[str, str] = {
    "JAX_PLATFORMS": "{platform}",  # JAX reads it when it is imported; without it every platform's plugin is tried
}

PRELOAD: tuple[str, ...] = (
    "jax",
    "jax.numpy",
    "optax",
    "jaxlib.mlir.dialects.builtin",  # the first compilation imports these two: 0.1 s
    "jaxlib.mlir.dialects.mhlo",
)
