"""The worker's end of a live cell: it builds, warms up, and then times one window whenever the runner calls.

Between its visits it sleeps in the kernel. Orders and answers are lines in two named pipes in the request's folder; a
request without them is measured in one go. The worker answers with a line of JSON: what it knows of itself once it is
warm, how long its windows are, then each window. It ends at the order `end`, or when the runner does.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ORDERS, ANSWERS = "orders", "answers"  # names of the pipes
VISIT, END = b"visit\n", b"end\n"


@dataclass(kw_only=True)
class Calls:
    """The worker's end."""

    orders: Any  # a file, open for reading
    answers: int  # a descriptor, open for writing

    def __iter__(self) -> Iterator[None]:
        for order in self.orders:
            if order != VISIT:
                return
            yield

    def tell(self, content: dict[str, Any]) -> None:
        left = memoryview(json.dumps(content).encode() + b"\n")
        while left:
            left = left[os.write(self.answers, left) :]


def open_pipes(folder: Path) -> Calls | None:
    """The worker's end, if the runner has made the pipes."""
    if not (folder / ORDERS).exists():
        return None
    return Calls(orders=(folder / ORDERS).open("rb", buffering=0), answers=os.open(folder / ANSWERS, os.O_WRONLY))
