"""The fake framework's runtime: host memory is the device."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.fake.faults import fail_in

fail_in("import")


def configure(request: Any) -> None:
    fail_in("init")
    if request.cache:
        (Path(request.cache) / "compiled").touch()


def devices() -> list[str]:
    return ["fake:0"]


def put(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: array.copy() for name, array in batch.items()}


def sync(x: Any) -> None:
    pass


def read(x: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in x.items()}


def memory() -> dict[str, Any]:
    return {"device_peak": None, "device_source": None, "reason": "the fake framework does not count"}


def threads() -> dict[str, int | None]:
    return {"intra": 1, "inter": 1}


def versions() -> dict[str, str]:
    return {"numpy": np.__version__}
