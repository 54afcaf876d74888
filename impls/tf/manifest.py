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

NUMPY = "numpy==2.4.6"
ENVIRONMENTS = {  # by accelerator, what an environment of `bench env` asks for; locks/ pins all that this needs
    "cpu": ("tensorflow-cpu==2.21.0", NUMPY),
    "cuda12": ("tensorflow[and-cuda]==2.21.0", NUMPY),
}
UV: dict[str, tuple[str, ...]] = {}
ELSEWHERE: tuple[str, ...] = ()
NO_ENVIRONMENT = {  # by accelerator, why there is none
    "cuda13": "TensorFlow 2.21 is built for CUDA 12: take cuda12, whose libraries run with newer drivers too",
    "rocm": "AMD publishes TensorFlow for ROCm apart from PyPI: make an environment of it, name it by --python tf=PATH",
}
