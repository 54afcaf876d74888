"""Environment variables that change how frameworks compute: which are recorded, and of which the value.

Names that begin like those of a runtime are recorded where they are set. A value is recorded for names that are known
to hold no secret, and no folder in it; an unknown name that begins alike may hold anything.
"""

import re
import socket
from collections.abc import Iterable, Mapping

PREFIXES = (
    "OMP_", "MKL_", "KMP_", "OPENBLAS_", "GOMP_", "MALLOC_", "XLA_", "TF_", "JAX_", "CUDA_", "NVIDIA_", "TORCH_",
    "PYTORCH_", "NCCL_",
)  # fmt: skip
_VALUES = """
    OMP_NUM_THREADS OMP_WAIT_POLICY OMP_PROC_BIND OMP_PLACES OMP_DYNAMIC OMP_SCHEDULE OMP_THREAD_LIMIT
    MKL_NUM_THREADS MKL_DYNAMIC MKL_CBWR MKL_ENABLE_INSTRUCTIONS MKL_DEBUG_CPU_TYPE KMP_AFFINITY KMP_BLOCKTIME
    OPENBLAS_NUM_THREADS OPENBLAS_CORETYPE GOMP_SPINCOUNT GOMP_CPU_AFFINITY
    MALLOC_ARENA_MAX MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_ MALLOC_TOP_PAD_ MALLOC_MMAP_MAX_
    XLA_FLAGS XLA_PYTHON_CLIENT_PREALLOCATE XLA_PYTHON_CLIENT_MEM_FRACTION XLA_PYTHON_CLIENT_ALLOCATOR
    TF_XLA_FLAGS TF_ENABLE_ONEDNN_OPTS TF_NUM_INTEROP_THREADS TF_NUM_INTRAOP_THREADS TF_DETERMINISTIC_OPS
    TF_CUDNN_DETERMINISTIC TF_CUDNN_USE_AUTOTUNE TF_GPU_ALLOCATOR TF_GPU_THREAD_MODE TF_GPU_THREAD_COUNT
    TF_FORCE_GPU_ALLOW_GROWTH TF_ENABLE_AUTO_MIXED_PRECISION TF_CPP_MIN_LOG_LEVEL TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE
    JAX_PLATFORMS JAX_ENABLE_X64 JAX_DEFAULT_MATMUL_PRECISION JAX_DISABLE_JIT JAX_DEBUG_NANS JAX_NUM_CPU_DEVICES
    CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUDA_DEVICE_MAX_CONNECTIONS CUDA_LAUNCH_BLOCKING CUDA_MODULE_LOADING
    NVIDIA_TF32_OVERRIDE NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES
    TORCH_ALLOW_TF32_CUBLAS_OVERRIDE TORCH_CUDNN_V8_API_ENABLED PYTORCH_ALLOC_CONF PYTORCH_CUDA_ALLOC_CONF
    NCCL_ALGO NCCL_PROTO NCCL_DEBUG NCCL_P2P_DISABLE NCCL_SHM_DISABLE NCCL_IB_DISABLE NCCL_MIN_NCHANNELS
    NCCL_SOCKET_IFNAME
    """
VALUES = frozenset(_VALUES.split())
WITHHELD = "(set; the value is not recorded)"
FOLDER = re.compile(r"[^\s=,;]*[/\\][^\s,;]*")


def within_the_machine() -> dict[str, str]:
    """Variables that have gloo and NCCL hear and speak over the loopback alone, so that nobody outside can join in.

    Empty where no interface has a name that loopbacks have: `lo` on Linux, `lo0` on macOS and the BSDs.
    """
    names = [name for _, name in socket.if_nameindex()]
    name = next((name for name in ("lo", "lo0") if name in names), None)
    return {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": f"={name}"} if name else {}


def recorded(environ: Mapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """What a record may hold of an environment; values too of the names in `also`."""
    names = sorted({*also, *(name for name in environ if name.startswith(PREFIXES))} & environ.keys())
    return {name: shown(environ[name]) if name in VALUES or name in also else WITHHELD for name in names}


def shown(value: str) -> str:
    """A value without the folders in it, which may hold a user's name."""
    return FOLDER.sub("(path)", value)
