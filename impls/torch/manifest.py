"""What the harness must know of this implementation before it imports PyTorch: pure data."""

NAME = "torch"
MODULE = "torch"
PACKAGES: tuple[tuple[str, ...], ...] = (("torch",),)

VARIANTS = ("eager", "compile")
DEFAULT_VARIANT = {"cpu": "eager", "cuda": "compile", "rocm": "compile"}
PROCESS_PER_DEVICE = True  # `DistributedDataParallel` drives one device in a process
UNSUPPORTED = {  # by platform, why it cannot run there
    "tpu": "PyTorch computes there by another package alone, torch_xla, which this implementation does not use",
}
PROGRAMS = {"compile": "g++"}  # what a variant runs

ENVIRONMENT: dict[str, str] = {
    # Idle OpenMP workers sleep, but not before they have looked for work some 20 µs long: an operator of a small
    # network is shorter than a wake-up, and a step of autoencoder tiny takes 2.9 ms for 6.2. Beside a busy foreign
    # process that costs about what sleeping at once does, while looking longer costs more. Read when it is loaded
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "2000",
    # On a CPU PyTorch has no allocator of its own. Without these two the C library gives each step's large tensors
    # back to the kernel and asks for zeroed pages again: a fifth of a step of autoencoder small. It reads them when
    # the process starts, not when PyTorch is imported
    "MALLOC_MMAP_THRESHOLD_": str(2**34),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
}

PRELOAD: tuple[str, ...] = (
    "torch",
    "torch.distributed",  # slow to import, and every data-parallel rank needs it
    "torch._dynamo",  # imported by the first optimizer that is built, compiled or not
)

NUMPY = "numpy==2.4.6"
ENVIRONMENTS = {  # by accelerator, what an environment of `bench env` asks for; locks/ pins all that this needs
    "cpu": ("torch==2.13.0", NUMPY),
    "cuda12": ("torch==2.13.0", NUMPY),
    "cuda13": ("torch==2.13.0", NUMPY),
    "rocm": ("torch==2.13.0", NUMPY),
}
UV = {  # what uv is told besides: it knows where PyTorch keeps each build
    "cpu": ("--torch-backend", "cpu"),
    "cuda12": ("--torch-backend", "cu129"),
    "cuda13": ("--torch-backend", "cu130"),
    "rocm": ("--torch-backend", "rocm7.2"),
}
ELSEWHERE = ("cuda12", "rocm")  # builds that PyPI does not have: its own, with CUDA 13, also computes on a processor
NO_ENVIRONMENT: dict[str, str] = {}  # by accelerator, why there is none; UNSUPPORTED says it of platforms
