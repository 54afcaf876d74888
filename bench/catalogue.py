"""`bench list`: what there is to run here, from package metadata alone; no framework is imported."""

from collections import Counter

from bench import manifests, plan, show, workloads
from bench.launch import Launcher
from bench.machine import accelerators
from bench.machine.fingerprint import cpu_model
from bench.machine.processor import physical_cores
from bench.manifests import Manifest
from bench.plan import Choice
from bench.spec import Request, param_count
from bench.workloads import WORKLOADS


def show_all() -> None:
    show.rows(("workload", "size", "parameters", "batch", "FLOP per step", "default optimizer"), workload_rows())
    show.rows(("impl", "variants", "versions", "here"), impl_rows())
    show.rows(("platform", "devices", "what"), platform_rows())
    show.note(f"--platform auto is {accelerators.choose()} here")


def workload_rows() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in WORKLOADS:
        for size in workloads.SIZES:
            spec = workloads.get(name, size)
            flops = show.scaled(spec.flops_per_step, "FLOP")
            found.append((name, size, f"{param_count(spec):,}", f"{spec.batch}", flops, spec.default_optimizer))
    return found


def impl_rows() -> list[tuple[str, ...]]:
    return [
        (
            manifest.name,
            ", ".join(manifest.variants),
            ", ".join(f"{name} {version}" for name, version in manifest.versions().items()),
            manifest.absence or ", ".join([ready(manifest), *filter(None, map(manifest.lacks, manifest.variants))]),
        )
        for manifest in manifests.find().values()
    ]


def ready(manifest: Manifest) -> str:
    python = manifest.interpreter
    return "ready" if python.is_own else f"ready, run by {python.name} with Python {python.python}"


def platform_rows() -> list[tuple[str, ...]]:
    """What was found of each platform; on cpu any number of devices can be emulated."""
    found: list[tuple[str, ...]] = []
    for platform, devices in accelerators.here().items():
        names = ", ".join(f"{count} × {name}" for name, count in Counter(devices).items())
        what = f"{cpu_model()}, {names}; more devices are emulated" if platform == "cpu" else names
        found.append((platform, str(len(devices)), what or "none here"))
    return found


def show_probes() -> None:
    """One step of the smallest workload on each framework, and what it says of itself."""
    found = manifests.find()
    cells = plan.plan_cells(Choice(workload=("autoencoder",), size="tiny"), found)
    lines: list[tuple[str, ...]] = []
    with Launcher(found, cold=True) as launcher:
        for cell in cells:
            if not found[cell.impl].installed:
                continue
            cores = physical_cores()
            folder = launcher.scratch / cell.impl
            request = Request(cell=cell, task="trace", folder=str(folder), steps=1, threads=len(cores), cpus=cores)
            outcome = launcher.run(request, 300.0, launcher.scratch / f"{cell.impl}.log")
            told = outcome.fields
            devices = ", ".join(rank["device"] for rank in told.get("ranks", []))
            lines.append((cell.impl, told["status"], devices, told.get("reason") or ""))
    show.rows(("impl", "one step", "devices", "reason"), lines)
