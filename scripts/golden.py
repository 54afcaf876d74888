"""Make the golden losses that ship with the package: float64 references of cells that are too dear to trace anywhere.

    python scripts/golden.py [WORKLOAD [SIZE]]

For the default cell (its own batch and optimizer, seed 0, one device) of each workload at `base` and `large` it trains
five steps in float64 on the processor, with PyTorch, and writes the losses into `bench/proof/shipped/golden.json` under
a key of all that decides them. The language model's gradient is accumulated over micro-batches of `MICRO` sequences,
the mean over which is the mean over the batch: its logits for a whole batch would take 7 GB. `lm` `large` takes 20 GB
even so. Two cores take from two minutes (`autoencoder` `base`) to half an hour (`lm` `large`).

When a key changes, because a number of the workload or its data did, run this again. A golden loss that changes without
that is a mistake: in float64 two machines agree to about 1e-13.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import manifests, plan, workloads
from bench.data.draw import init_params
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.proof import cache, parity, references
from bench.spec import Cell, Request

IMPL = "torch"
MICRO, MICRO_OF_LARGE = 2, 1  # sequences


def main(arguments: list[str]) -> None:
    names = arguments[:1] or list(workloads.WORKLOADS)
    sizes = arguments[1:] or ["base", "large"]
    for name in names:
        for size in sizes:
            choice = Choice(impl=(IMPL,), variant=("eager",), workload=(name,), size=size, precision=("fp64",))
            (cell,) = plan.plan_cells(choice, manifests.find())
            keep(cell, train(cell))


def keep(cell: Cell, losses: Mapping[str, list[float]]) -> None:
    path = cache.SHIPPED / "golden.json"
    path.parent.mkdir(exist_ok=True)
    golden = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    version = manifests.find()[IMPL].versions()[IMPL]
    name = f"golden: {IMPL} {version} {cell.variant} float64"
    golden[references.golden_key(cell)] = {
        "cell": f"{cell.workload}/{cell.size} {cell.optimizer} batch {cell.global_batch} seed {cell.seed}",
        "impl": IMPL,
        "name": name + (f", micro-batches of {micro(cell.size)}" if cell.workload == "lm" else ""),
        "losses": losses,
    }
    path.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def train(cell: Cell) -> dict[str, list[float]]:
    """Losses of the first steps."""
    cores = physical_cores()
    request = Request(cell=cell, task="trace", folder="", threads=len(cores), cpus=cores)
    variables = manifests.find()[IMPL].variables(request)
    if variables.items() - os.environ.items():  # some are read when the process starts
        words = [sys.executable, *sys.argv]  # this program again
        os.execve(sys.executable, words, {**os.environ, **variables})  # nosec B606
    from impls.torch import backend

    backend.configure(request)
    workload = workloads.get(cell.workload, cell.size)
    step = micro_steps(workload, request) if cell.workload == "lm" else whole_steps(workload, request)
    losses: dict[str, list[float]] = {name: [] for name in workload.losses}
    for number in range(parity.CHECKED_STEPS):
        batch = backend.put(workload.batch_at(number, cell.seed, 0, cell.global_batch))
        for name, value in step(batch).items():
            losses[name].append(float(value))
        print(cell.label, f"step {number}:", {name: values[-1] for name, values in losses.items()}, flush=True)
    return losses


def whole_steps(workload: Any, request: Request) -> Callable[[Any], dict[str, Any]]:
    """The implementation's own step."""
    import importlib

    code = importlib.import_module(f"impls.{IMPL}.{request.cell.workload}")
    state, step = code.build(workload, init_params(workload, request.cell.seed), request)

    def advance(batch: Any) -> dict[str, Any]:
        nonlocal state
        state, losses = step(state, batch)
        return losses

    return advance


def micro(size: str) -> int:
    return MICRO_OF_LARGE if size == "large" else MICRO


def micro_steps(workload: Any, request: Request) -> Callable[[Any], dict[str, Any]]:
    """The language model's step with its gradient accumulated; parameters and optimizer are the implementation's."""
    from impls.torch import lm

    state, _ = lm.build(workload, init_params(workload, request.cell.seed), request)

    def advance(batch: Any) -> dict[str, Any]:
        state.update.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for token_BS in batch["token"].split(micro(workload.size)):
            loss = lm.cross_entropy(state.net, token_BS) * (len(token_BS) / workload.batch)
            loss.backward()
            total += float(loss.detach())
        state.update.step()
        return {"cross_entropy": total}

    return advance


if __name__ == "__main__":
    main(sys.argv[1:])
