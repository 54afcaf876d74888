"""Where evidence is kept: `$SAMESTEP_CACHE`, by default `~/.cache/samestep`, a file for each key.

Some of it ships with the package, a file for each kind in `shipped/`: what one framework alone, or a small machine,
could not make.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parent / "shipped"


def folder(kind: str) -> Path:
    root = os.environ.get("SAMESTEP_CACHE") or Path.home() / ".cache" / "samestep"
    return Path(root) / kind


def load(kind: str, key: str) -> dict[str, Any] | None:
    """What is kept or shipped under a key, or None; a file that cannot be read counts as none."""
    try:
        return json.loads((folder(kind) / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return shipped(kind).get(key)


@cache
def shipped(kind: str) -> dict[str, Any]:
    """What ships with the package, by key."""
    path = SHIPPED / f"{kind}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(kind: str, key: str, content: Mapping[str, Any]) -> None:
    """Keep it, whole or not at all; a cache that cannot be written is no fault of the cell."""
    path = folder(kind) / f"{key}.json"
    part = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
