"""What the products and copies of an implementation give, each way: printed as one line of JSON.

python -m tests.parity.ceiling_trials IMPL "VARIANT PRECISION" …
"""

import json
import os
import sys
import traceback
from importlib import import_module
from typing import Any

import numpy as np

from bench import manifests, plan
from bench.plan import Choice
from bench.spec import Request

SIDE, BYTES = 256, 1 << 16


def main(impl: str, *ways: str) -> dict[str, Any]:
    """Each way in a process that is forked once the framework is imported, as cells are."""
    import_module(f"impls.{impl}.backend")
    return {way: forked(impl, *way.split()) for way in ways}


def forked(impl: str, variant: str, precision: str) -> dict[str, Any]:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writing, json.dumps(tried(impl, variant, precision), default=float).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return json.loads(told)


def tried(impl: str, variant: str, precision: str) -> dict[str, Any]:
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
    print(json.dumps(main(*sys.argv[1:])))
