"""How the processes of a cell find and hear one another: by files beside the rendezvous."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

rank, count, place, rounds = 0, 1, Path(), 0


def join(request: Any) -> None:
    global rank, count, place
    rank, count, place = request.rank, request.ranks, Path(f"{request.rendezvous}.d")
    if count > 1:
        place.mkdir(exist_ok=True)


def gather(numbers: Sequence[float]) -> list[list[float]]:
    """What each rank gave in this round; waits for all of them."""
    global rounds
    if count == 1:
        return [list(numbers)]
    rounds += 1
    mine = place / f"{rounds}-{rank}"
    mine.with_suffix(".part").write_text(json.dumps(list(numbers)))
    mine.with_suffix(".part").rename(mine)
    found: list[list[float]] = []
    for other in range(count):
        file = place / f"{rounds}-{other}"
        while not file.exists():
            time.sleep(1e-4)
        found.append(json.loads(file.read_text()))
    return found
