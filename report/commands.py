"""The command that measures a cell again, from the cell's fields alone."""

import shlex
from collections.abc import Mapping
from typing import Any

FLAGS = ("impl", "workload", "size", "variant", "precision", "platform", "optimizer", "kernels", "input", "seed")


def command(cell: Mapping[str, Any], repeats: int | None = None) -> str | None:
    """A line for a shell; None where the record does not hold all that it takes.

    The base of a sweep is measured as a part of the smallest sweep: one device alone has no engine for several.
    """
    strong = cell["scaling"] == "strong"
    batch, devices = cell["global_batch" if strong else "batch_per_device"], cell["devices"]
    if any(cell[name] is None for name in FLAGS) or batch is None or devices is None:
        return None
    words = ["python", "-m", "bench", "run"]
    for name in FLAGS:
        words += [f"--{name}", str(cell[name])]
    words += ["--batch", str(batch)]
    if devices > 1 or cell["engine"] == "distributed":
        words += ["--device-counts", str(max(devices, 2))]
    words += ["--scaling", "strong"] if strong else []
    words += ["--a-a"] if cell["arm"] else []
    words += ["--repeats", str(repeats)] if repeats else []
    return shlex.join(words)
