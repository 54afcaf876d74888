"""A process that reads the counters of energy some times a second, and tells what it read when asked.

    python -m bench.sampler PLATFORM

It writes lines of JSON to what was its standard output: first `{"source": …, "reason": null}`, or the reason why there
is nothing to read; then, for each line on its standard input, a time, `{"readings": [[at_s, [joules, …]], …]}`: those
from that time on; it forgets older ones. It ends when its standard input closes. Times are by `time.perf_counter`, as
those of windows are.
"""

import os
import select
import sys
import time
from collections import deque

from bench.machine import counters
from bench.machine.counters import Counters
from bench.machine.energy import Reading
from bench.template import answer

KEPT = 1 << 18  # readings, 87 minutes at the shortest period: a longer cell loses its first, and has a reason


def main(platform: str) -> None:
    answers = os.dup(sys.stdout.fileno())  # no other process that zeus starts has it
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    try:
        found = counters.find(platform)
    except OSError as error:
        answer(answers, {"source": None, "reason": str(error)})
        return
    answer(answers, {"source": found.source, "reason": None})
    serve(found, answers)


def serve(found: Counters, answers: int) -> None:
    """Read on time, answer when asked."""
    kept = deque[Reading](maxlen=KEPT)
    due = time.perf_counter()
    while True:
        asked, _, _ = select.select([sys.stdin], [], [], max(0.0, due - time.perf_counter()))
        if not asked:
            kept.append(reading(found))
            due = max(due + found.period_s, time.perf_counter())
            continue
        order = sys.stdin.readline()
        if not order:
            return
        since = float(order)
        while kept and kept[0][0] < since:
            kept.popleft()
        answer(answers, {"readings": list(kept)})


def reading(found: Counters) -> Reading:
    """The counters, and the time halfway through reading them."""
    before = time.perf_counter()
    values = found.read()
    return (before + time.perf_counter()) / 2, values


if __name__ == "__main__":
    main(*sys.argv[1:])
