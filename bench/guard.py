"""A process that outlives its runner, ends what that left running and removes its scratch folder.

    python -m bench.guard LIFELINE SCRATCH

It sleeps until the runner's end of the lifeline closes, however the runner ended. All that a runner starts, and what
comes of that in turn, has the path of the scratch folder in its environment: so it is found in whatever session it
is, stopped or not.
"""

import os
import shutil
import sys

import psutil

from bench.processes import end

MARK = "SAMESTEP_SCRATCH"


def main(lifeline: str, scratch: str) -> None:
    os.read(int(lifeline), 1)
    for _ in range(10):  # what is ended may have started another
        left = marked(scratch)
        if not left:
            break
        end(*left)
    shutil.rmtree(scratch, ignore_errors=True)


def marked(scratch: str) -> list[int]:
    """Ids of the processes that carry the mark of this scratch folder."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == scratch:
                found.append(process.pid)
        except psutil.Error:  # gone, or another user's
            continue
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
