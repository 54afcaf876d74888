"""Cells on several emulated devices, for the tests of what they compute and of how they end."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from bench import manifests, plan, workloads
from bench.launch import Launcher, Outcome
from bench.machine.processor import physical_cores
from bench.manifests import Manifest
from bench.plan import Choice
from bench.proof import parity, proofs
from bench.proof.parity import Trace
from bench.spec import Cell, Request

MANIFESTS = manifests.find()
STEPS = 5


def cell_of(
    impl: str, workload: str, devices: int, norm_groups: int, precision: str = "fp64", size: str = "tiny", **others: Any
) -> Cell:
    """Devices that share the batch which one has by default."""
    choice = Choice(impl=(impl,), workload=(workload,), size="tiny", precision=(precision,))
    (cell,) = plan.plan_cells(choice, MANIFESTS)
    cell = proofs.at_size(replace(cell, norm_groups=norm_groups), size)
    share = cell.global_batch // devices
    return replace(cell, **{"devices": devices, "batch_per_device": share, "engine": "distributed", **others})


def request_for(cell: Cell, **others: Any) -> Request:
    cores = physical_cores()
    request = Request(cell=cell, task="trace", folder="", threads=len(cores), cpus=cores)
    return replace(request, **others)


def measurement(cell: Cell, folder: object, **others: Any) -> Request:
    """As few steps as a measurement can have."""
    least = {"steps": 5, "window_steps": 5, "min_windows": 2, "latency_steps": 0, "min_time_s": 0.0}
    return request_for(cell, **{"task": "measure", "folder": str(folder), **least, **others})


def trace(launcher: Launcher, cell: Cell, steps: int = STEPS, instead: Manifest | None = None, **others: Any) -> Trace:
    return proofs.run_trace(
        launcher, cell, steps, request_for(cell, **others), 300.0, launcher.scratch / "log", instead
    )


def difference(
    launcher: Launcher, cell: Cell, steps: int = STEPS, instead: Manifest | None = None
) -> parity.Difference:
    """Of a cell from the default variant of its implementation on one device, without an engine for several."""
    variant = MANIFESTS[cell.impl].default_variant["cpu"]
    together = trace(launcher, cell, steps, instead)
    alone = trace(launcher, replace(cell.on_one_device(), variant=variant), steps)
    assert not together.copies, "devices hold different states"
    workload = workloads.get(cell.workload, cell.size, cell.global_batch)
    return parity.compare(alone, together, workload.param_specs(), workload.optimizer(cell.optimizer).lr)


def sockets(
    launcher: Launcher, cell: Cell, folder: Path, instead: Manifest | None = None
) -> tuple[Outcome, set[tuple[str, str]]]:
    """What became of a cell that is measured, and states and own addresses of all internet sockets it had meanwhile."""
    request = measurement(cell, folder, min_windows=20)
    seen: set[tuple[str, str]] = set()
    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(launcher.run, request, 120.0, folder.parent / "log", instead)
        while not running.done():
            for pid in launcher.processes():
                with suppress(psutil.Error):
                    found = psutil.Process(pid).net_connections("inet")
                    seen |= {(one.status, one.laddr.ip) for one in found if one.laddr}
            time.sleep(0.005)
    return running.result(), seen
