"""Real frameworks that get no more memory: what they do is `oom`, and the largest batch that fits is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import plan, run, search, store
from bench.plan import Choice
from bench.settings import Settings
from bench.spec import Cell
from tests.mutations import __main__ as mutations
from tests.mutations.mistakes import Edit
from tests.parity.devices import MANIFESTS, measurement
from tests.process.test_oom import cgroup as cgroup

# Exceptions as the frameworks raise them on GPUs, where no test runs; the texts are theirs.
ON_DEVICES = {
    "torch": """
import torch
assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError
errors = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB "
        "of which 9.12 GiB is free. Including non-PyTorch memory, this process has 69.98 GiB memory in use."),
    RuntimeError("CUDA error: out of memory\\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    torch.distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp:77, unhandled cuda error\\nLast error:\\n"
        "Cuda failure 2 'out of memory'"),
]
others = [RuntimeError("CUDA error: an illegal memory access was encountered")]
""",
    "tf": """
import tensorflow as tf
errors = [
    tf.errors.ResourceExhaustedError(None, None, "{{function_node __wrapped__MatMul_device_GPU:0}} OOM when allocating "
        "tensor with shape[65536,65536] and type float on GPU:0 by allocator GPU_0_bfc [Op:MatMul]"),
    tf.errors.ResourceExhaustedError(None, None, "Out of memory while trying to allocate 17179869184 bytes. [Op:step]"),
    tf.errors.InternalError(None, None, "Failed to allocate: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
]
others = [tf.errors.InvalidArgumentError(None, None, "memory_limit is no number")]
""",
    "jax": """
import jax
errors = [
    jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 34359738496 bytes."),
    jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Failed to allocate request for 32.00GiB on device ordinal 0"),
    jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
]
others = [
    jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Shared memory size limit exceeded: requested 300000"),
    jax.errors.JaxRuntimeError("INVALID_ARGUMENT: unknown memory kind pinned_host"),
]
""",
}
JUDGE = """
from bench import failures
for error, status in [(one, "oom") for one in errors] + [(one, "crashed") for one in others]:
    assert failures.status_of(error, "fp32", "compile") == status, repr(error)
"""
BEFORE = {  # a line of each backend that runs before its runtime starts
    "torch": "    exchange.check(request)\n",
    "tf": "    tf.config.threading.set_intra_op_parallelism_threads(request.threads)\n",
    "jax": '    os.environ["PJRT_NPROC"] = str(request.threads)\n',
}
LIMIT = """    import resource, pathlib
    held = pathlib.Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]
    resource.setrlimit(resource.RLIMIT_DATA, (int(held) * 1024 + MIB * 2**20,) * 2)
"""
ENOUGH = {"torch": 150, "tf": 250, "jax": 400}  # MiB for some thousand images a step, so that a try takes seconds
TIMEOUT_S = 300.0  # close to its limit a program of PyTorch is compiled for minutes, as the kernel takes its pages back
VARIANTS = [("torch", "eager"), ("torch", "compile"), ("tf", "graph"), ("tf", "xla"), ("jax", "jit")]


def limit(impl: str, mib: int = 400) -> Edit:
    """Gives a cell so much memory beyond what its process begins with."""
    return Edit(file="backend.py", old=BEFORE[impl], new=LIMIT.replace("MIB", str(mib)) + BEFORE[impl])


def cell_of(impl: str, variant: str, batch: int) -> Cell:
    choice = Choice(impl=(impl,), workload=("autoencoder",), precision=("fp32",), variant=(variant,), batch=batch)
    (cell,) = plan.plan_cells(choice, MANIFESTS)
    return cell


@pytest.mark.parametrize("impl", ON_DEVICES)
def test_what_frameworks_raise_on_devices_is_oom(impl: str) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ON_DEVICES[impl] + JUDGE],
        env={**os.environ, **MANIFESTS[impl].environment, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.parametrize(("impl", "variant"), VARIANTS)
@pytest.mark.parametrize("batch", [15_000, 60_000])
def test_a_limit_is_oom(place: mutations.Laboratory, tmp_path: Path, impl: str, variant: str, batch: int) -> None:
    mutant = place.plant(impl, f"limited-{variant}-{batch}", [limit(impl)])
    asked = measurement(cell_of(impl, variant, batch), tmp_path / "cell")
    outcome = place.launcher.run(asked, TIMEOUT_S, tmp_path / "log", mutant)
    print(impl, variant, batch, outcome.fields["reason"])
    assert outcome.fields["status"] == "oom", outcome


@pytest.mark.long
@pytest.mark.parametrize(("impl", "variant"), VARIANTS)
def test_whom_the_kernel_ends_is_oom(
    place: mutations.Laboratory, tmp_path: Path, impl: str, variant: str, cgroup: Path
) -> None:
    join = f'    import pathlib\n    pathlib.Path("{cgroup}/cgroup.procs").write_text(str(os.getpid()))\n'
    edit = Edit(file="backend.py", old=BEFORE[impl], new=f"    import os\n{join}{BEFORE[impl]}")
    mutant = place.plant(impl, f"confined-{variant}", [edit])
    outcome = place.launcher.run(
        measurement(cell_of(impl, variant, 15_000), tmp_path / "cell"), TIMEOUT_S, tmp_path / "log", mutant
    )
    print(impl, variant, outcome.fields["reason"])
    assert outcome.fields["status"] == "oom", outcome
    assert "the kernel's OOM killer" in outcome.fields["reason"]


@pytest.mark.long
@pytest.mark.parametrize("impl", BEFORE)
def test_the_largest_batch_is_found(place: mutations.Laboratory, tmp_path: Path, impl: str) -> None:
    manifests = {impl: place.plant(impl, "searched", [limit(impl, ENOUGH[impl])])}
    choice = Choice(impl=(impl,), workload=("autoencoder",), size="tiny", precision=("fp32",), batch=256)
    settings = Settings(min_time_s=0.1, out=tmp_path / "run", find_max_batch=search.MOST)
    assert run.run(choice, settings, manifests) == 0
    records = store.load(tmp_path / "run").records
    (answer,) = search.answers(records)
    assert answer.largest and answer.smallest and answer.smallest["status"] == "oom"
    fits, fails = search.batch_of(answer.largest), search.batch_of(answer.smallest)
    assert 128 < fits < fails and (fails - fits) * search.PARTS <= fits
    assert all(one["memory_bytes"]["host_peak"] and one["windows"] for one in records if one["status"] == "ok")
    assert (tmp_path / "run" / "report.html").exists()
