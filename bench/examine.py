"""What is found of a cell beside its time: memory, its products' precision, kernels' errors, what was on, its state."""

import importlib
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.machine import environment, memory
from bench.machine.memory import HostMemory
from bench.precision import SIGNIFICANT_BITS

if TYPE_CHECKING:
    from bench.measure import Training
    from bench.spec import Request


@dataclass(kw_only=True)
class Found:
    """What is known of a cell so far: fields of its record, reasons for those that are null, the phase it is in."""

    fields: dict[str, Any]
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    phase: str = "import"

    def copied(self) -> "Found":
        """The same, which can be added to without changing this."""
        return Found(fields=dict(self.fields), reasons=dict(self.reasons), phase=self.phase)

    @contextmanager
    def timed(self, phase: str) -> Generator[None]:
        """Name the phase, and time it; the record keeps what comes before the warm-up."""
        self.phase, start = phase, time.perf_counter()
        yield
        self.fields["phases_s"][phase] = time.perf_counter() - start


def test_kernels(request: "Request", backend: Any, code: Any) -> dict[str, dict[str, float]]:
    """For each kernel that `best` takes: how far it, and the plain form, lie from the plain form in float64."""
    import numpy as np

    from bench import workloads

    cell = request.cell
    backend.configure(request)
    errors: dict[str, dict[str, float]] = {}
    for name, run in code.kernels(workloads.get(cell.workload, cell.size, cell.batch_per_device), request).items():
        exact = run("exact")

        def error(form: str, run: Any = run, exact: dict[str, Any] = exact) -> float:
            found = run(form)
            return max(float(np.abs(found[k] - exact[k]).max() / np.abs(exact[k]).max()) for k in exact)

        errors[name] = {
            "best": error("best"),
            "plain": error("plain"),
            "eps": 2.0 ** (1 - SIGNIFICANT_BITS[cell.precision]),
        }
    return errors


def probe_precision(request: "Request", probe: Any, found: Found) -> None:
    """Record the precision that the cell's products really have; status `invalid` if it is not the one asked for."""
    from bench import probes, workloads

    cell, asked = request.cell, request.cell.precision
    workload = workloads.get(cell.workload, cell.size, cell.batch_per_device)
    images = any(len(param.shape) == 4 for param in workload.param_specs().values())
    products = probe.products(request, probes.CONV, probes.TRANSPOSED)
    effective = probes.effective_precision(products, ("matmul", "conv") if images else ("matmul",))
    found.fields["effective_precision"] = effective
    found.reasons["effective_precision.conv"] = f"{cell.workload} has no convolution"
    others = [f"{kind}: {name}" for kind, name in effective.items() if name != asked]
    if others and found.fields["status"] == "ok":
        found.fields["status"] = "invalid"
        found.fields["reason"] = f"{asked} was asked for, products have another precision: {'; '.join(others)}"


@contextmanager
def measured_memory(backend: Any, host: HostMemory, found: Found) -> Generator[None]:
    """Peaks of host and device over the whole life of the cell, and over the steady state within."""
    host.mark()
    before, resets = backend.memory(), hasattr(backend, "reset_memory")
    if resets:
        backend.reset_memory()
    yield
    after = backend.memory()
    steady, source = after["device_peak"], after["device_source"]
    found.fields["memory_bytes"] = {
        "device_peak": steady and [max(both) for both in zip(before["device_peak"], steady, strict=True)],
        "device_steady": steady if resets else None,
        "device_source": source,
        "host_steady": host.mark(),
        "host_peak": host.peak,
        "host_baseline": host.baseline,
    }
    for part in ("device_peak", "device_source"):
        found.reasons[f"memory_bytes.{part}"] = after["reason"]
    found.reasons["memory_bytes.device_steady"] = after["reason"] or "the framework cannot set its peak back"
    for part in ("host_peak", "host_baseline"):
        found.reasons[f"memory_bytes.{part}"] = memory.NO_PROC
    found.reasons["memory_bytes.host_steady"] = memory.NO_PROC if host.peak is None else memory.NO_RESET


def describe(training: "Training", backend: Any, code: Any, found: Found, package: str) -> None:
    """Add what only this process can tell of itself: ranks, threads, optimizations, versions, variables."""
    host_peak = found.fields.get("memory_bytes", {}).get("host_peak")
    windows_s = found.fields.pop("own_s", [])
    found.fields["ranks"] = [rank | {"window_s": windows_s, "host_peak": host_peak} for rank in found.fields["ranks"]]
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    tasks = Path("/proc/self/task")
    total = len(list(tasks.iterdir())) if tasks.is_dir() else None
    found.fields["threads"] = backend.threads() | {"affinity": affinity, "total": total}
    found.reasons["threads"] = "the runtime does not tell"
    found.fields["optimisations"] = code.optimisations(training.state)
    found.fields["versions"] = backend.versions()
    manifest = importlib.import_module(f"{package}.manifest")
    found.fields["flags"] = environment.recorded(os.environ, manifest.ENVIRONMENT)


def save_state(request: "Request", code: Any, state: Any) -> None:
    """Parameters, slots and statistics as each device of this process holds them: `state-<device>.npz`."""
    import numpy as np

    for device in range(request.devices):
        place = request.rank * request.devices + device
        np.savez(Path(request.folder) / f"state-{place}.npz", **code.export(state, None, device))
