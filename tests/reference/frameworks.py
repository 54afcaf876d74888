"""Trains every case in one framework, through the contract of an implementation, and keeps what came of it.

    python -m tests.reference.frameworks REQUEST.json PACKAGE STATES.npz

STATES.npz holds `<case>/<step>/loss/<name>` and `<case>/<step>/<exported name>`, or `<case>/failure`.
"""

import importlib
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.spec import Request
from tests.reference.cases import CASES, Case, draw_batch, draw_params


def main(request_file: str, package: str, states_file: str) -> None:
    request = Request.from_json(Path(request_file).read_text())
    backend = importlib.import_module(f"{package}.backend")
    backend.configure(request)
    backend.devices()
    states: dict[str, Any] = {}
    for name, case in CASES.items():
        try:
            found = train(case, request, package, backend)
        except Exception:  # one case that cannot run must not hide the others
            found = {"failure": np.asarray(traceback.format_exc())}
        states |= {f"{name}/{key}": value for key, value in found.items()}
    np.savez(states_file, **states)


def train(case: Case, request: Request, package: str, backend: Any) -> dict[str, Any]:
    """Every loss and the whole state after every step."""
    workload = case.workload
    code = importlib.import_module(f"{package}.{workload.name}")
    cell = replace(
        request.cell, workload=workload.name, size=workload.size, optimizer=case.optimizer, precision="fp64",
        norm_groups=case.norm_groups, global_batch=workload.batch, batch_per_device=workload.batch,
    )  # fmt: skip
    state, step = code.build(workload, draw_params(case), replace(request, cell=cell))
    found: dict[str, Any] = {}
    for number in range(case.steps):
        state, losses = step(state, backend.put(draw_batch(case, number)))
        found |= {f"{number}/loss/{name}": np.asarray(value) for name, value in backend.read(losses).items()}
        found |= {f"{number}/{name}": np.array(value) for name, value in code.export(state).items()}
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
