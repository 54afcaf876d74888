"""What the harness must know of this implementation before it imports TensorFlow: pure data."""

NAME = "tf"
MODULE = "tensorflow"
PACKAGES: tuple[tuple[str, ...], ...] = (("tensorflow", "tensorflow-cpu"),)

VARIANTS = ("graph", "xla")
DEFAULT_VARIANT = {"cpu": "graph", "cuda": "xla", "rocm": "xla"}
UNSUPPORTED = {
    "tpu": "TensorFlow runs on TPUs by its package tensorflow-tpu, which has no release for 2.21 (the last is 2.20.0)"
}

ENVIRONMENT: dict[str, str] = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only
    "TF_ENABLE_ONEDNN_OPTS": "1",  # the default on most processors, off on some; read once, at import
    "TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE": "false",  # keep oneDNN's kernels for batches above 32 too
}

PRELOAD: tuple[str, ...] = ("tensorflow",)
