"""How fast this machine works: a measured rate, and a time left by what has taken its time already.

Estimates of time alone come from here, never a result.
"""

import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache

# Of the squares that are multiplied. A library of products shares larger ones among threads, and these wait for one
# another: beside two busy processes a side of 128 took a thousand times as long, one of 64 no longer than alone.
SIDE = 64
BUDGET_S = 0.02  # for which products are repeated: thousands, so that one in a slow moment does not count
# Of what a product reaches, which a step does: 10 to 13 % at `tiny`, more where layers are large. A ratio of two rates
# of one machine, so that it holds where the rates themselves are ten times higher or lower.
SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class Took:
    """One job that has ended."""

    kind: Hashable  # jobs of one kind take about as long as each other
    assumed_s: float
    seconds: float


@cache
def step_flops_per_s() -> float:
    """FLOP/s that a step is taken to reach on each core; measuring takes some `BUDGET_S`."""
    import numpy as np

    a_SS = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
    out_SS = np.empty_like(a_SS)
    return SHARE * best_rate(lambda: np.matmul(a_SS, a_SS, out=out_SS), 2 * SIDE**3)


def best_rate(call: Callable[[], object], work: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Work a second of the fastest call, of as many as `BUDGET_S` holds; the first warms up, and one more is timed."""
    call()
    begin, fastest_s = clock(), float("inf")
    while True:
        start = clock()
        call()
        now = clock()
        fastest_s = min(fastest_s, now - start)
        if now - begin >= BUDGET_S:
            return work / fastest_s


def pace(done: Sequence[Took]) -> float:
    """How many times as long as was assumed jobs take here; 1 while none has ended."""
    assumed_s = sum(one.assumed_s for one in done)
    return sum(one.seconds for one in done) / assumed_s if assumed_s else 1.0


def left_s(ahead: Sequence[tuple[Hashable, float]], done: Sequence[Took]) -> float:
    """Seconds that jobs ahead, each a kind and the seconds assumed, will about take.

    A kind that was done takes its median; another one what was assumed, times the pace.
    """
    seconds: dict[Hashable, list[float]] = {}
    for one in done:
        seconds.setdefault(one.kind, []).append(one.seconds)
    known, factor = {kind: statistics.median(of_kind) for kind, of_kind in seconds.items()}, pace(done)
    return sum(known.get(kind, factor * assumed_s) for kind, assumed_s in ahead)
