"""What the harness must know of this implementation before it imports JAX: pure data."""

NAME = "jax"
MODULE = "jax"
PACKAGES: tuple[tuple[str, ...], ...] = (("jax",), ("jaxlib",), ("optax",))

VARIANTS = ("jit",)
DEFAULT_VARIANT = {"cpu": "jit", "cuda": "jit", "rocm": "jit", "tpu": "jit"}
UNSUPPORTED: dict[str, str] = {}  # by platform, why it cannot run there

ENVIRONMENT: dict[str, str] = {
    "JAX_PLATFORMS": "{platform}",  # JAX reads it when it is imported; without it every platform's plugin is tried
    # On a CPU XLA takes the memory for a step's intermediate values from malloc, in one piece, and gives it back after
    # the step. By default glibc maps it anew each time, and the kernel clears it page by page: 40 % of a step of `lm`.
    # These three keep it, for the threads of XLA too; other C libraries do not know them.
    "MALLOC_MMAP_THRESHOLD_": str(2**34),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_ARENA_MAX": "1",
}

PRELOAD: tuple[str, ...] = (
    "jax",
    "jax.numpy",
    "optax",
    "jaxlib.mlir.dialects.builtin",  # the first compilation imports these two: 0.1 s
    "jaxlib.mlir.dialects.mhlo",
)

OPTAX, NUMPY = "optax==0.2.8", "numpy==2.4.6"
ENVIRONMENTS = {  # by accelerator, what an environment of `bench env` asks for; locks/ pins all that this needs
    "cpu": ("jax==0.10.2", OPTAX, NUMPY),
    "cuda12": ("jax[cuda12]==0.10.2", OPTAX, NUMPY),
    "cuda13": ("jax[cuda13]==0.10.2", OPTAX, NUMPY),
    "rocm": ("jax[rocm7-local]==0.10.2", OPTAX, NUMPY),
    "tpu": ("jax[tpu]==0.10.2", OPTAX, NUMPY),
}
UV: dict[str, tuple[str, ...]] = {}
ELSEWHERE: tuple[str, ...] = ()
NO_ENVIRONMENT: dict[str, str] = {}
