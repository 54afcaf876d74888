"""What a framework's own counter says of one step, in a process of its own: printed as one line of JSON.

python -m tests.parity.flop_counts torch|jax WORKLOAD/SIZE/BATCH…
"""

import json
import sys
from dataclasses import replace
from importlib import import_module
from typing import Any

from bench import manifests, plan, worker, workloads
from bench.data.draw import init_params
from bench.plan import Choice
from bench.spec import Request


def built(impl: str, case: str) -> tuple[Any, Any, Any]:
    """State, step and batch of a case in float32."""
    name, size, batch = case.split("/")
    (cell,) = plan.plan_cells(Choice(impl=(impl,), workload=(name,), precision=("fp32",)), manifests.find())
    cell = replace(cell, size=size, global_batch=int(batch), batch_per_device=int(batch))
    request = Request(cell=cell, task="trace", folder="", threads=1)
    backend = import_module(f"impls.{impl}.backend")
    backend.configure(request)
    workload = workloads.get(name, size, int(batch))
    params = worker.cast(init_params(workload, 0), "fp32")
    state, step = import_module(f"impls.{impl}.{name}").build(workload, params, request)
    return state, step, backend.put(worker.cast(workload.batch_at(0, 0, 0, int(batch)), "fp32"))


def torch(case: str) -> dict[str, float]:
    """By `FlopCounterMode`, the operations of products alone: in all, and of attention.

    The fused attention of a CPU is none that the counter knows: it counts that by its own rule for those it does.
    """
    from torch import ops
    from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

    fused = ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    rules = {
        fused: lambda q, k, v, *_, out_shape=None, **__: sdpa_flop_count(q, k, v),
        backward: lambda dy, q, k, v, *_, out_shape=None, **__: sdpa_backward_flop_count(dy, q, k, v),
    }
    state, step, batch = built("torch", case)
    with FlopCounterMode(display=False, custom_mapping=rules) as counter:
        step(state, batch)
    counts = counter.get_flop_counts()["Global"]
    return {"all": counter.get_total_flops(), "attention": counts.get(fused, 0) + counts.get(backward, 0)}


def jax(case: str) -> dict[str, float]:
    """By XLA's cost analysis of the step, before it is compiled: all additions and multiplications."""
    state, step, batch = built("jax", case)
    return {"all": step.lower(state, batch).cost_analysis()["flops"]}


if __name__ == "__main__":
    count = {"torch": torch, "jax": jax}[sys.argv[1]]
    print(json.dumps({case: count(case) for case in sys.argv[2:]}))
