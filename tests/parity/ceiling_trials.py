"""The products and copies of an implementation, in a process of its own: what each gave is printed as one line of JSON.

python -m tests.parity.ceiling_trials IMPL VARIANT PRECISION
"""

import json
import sys
from importlib import import_module
from typing import Any

import numpy as np

from bench import manifests, plan
from bench.plan import Choice
from bench.spec import Request

SIDE, BYTES = 256, 1 << 16


def main(impl: str, variant: str, precision: str) -> dict[str, Any]:
    choice = Choice(impl=(impl,), variant=(variant,), precision=(precision,), workload=("autoencoder",))
    (cell,) = plan.plan_cells(choice, manifests.find())
    request = Request(cell=cell, task="measure", folder="", threads=1)
    backend, ceilings = (import_module(f"impls.{impl}.{name}") for name in ("backend", "ceilings"))
    backend.configure(request)
    multiply, scale = ceilings.product(SIDE, request), ceilings.scaled_copy(BYTES, request)
    backend.sync([multiply() for _ in range(3)][-1])
    product, copy = multiply(), [scale() for _ in range(3)][-1]
    backend.sync(copy)
    numbers = np.asarray(product.float() if impl == "torch" else product).astype(float)
    told = {"type": str(product.dtype), "shape": list(numbers.shape), "std": numbers.std(), "mean": numbers.mean()}
    if impl != "tf":  # whose variable keeps it
        array = np.asarray(copy)
        told |= {"copied": array.nbytes, "copied type": str(array.dtype), "copied value": [array.min(), array.max()]}
    return told


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:]), default=float))
