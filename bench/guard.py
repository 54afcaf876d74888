"""A process that outlives its runner, ends what that left running and removes its scratch folder.

    python -m bench.guard LIFELINE SCRATCH

It sleeps until the runner's end of the lifeline closes, however the runner ended. All that a runner starts, and what
comes of that in turn, has the path of the scratch folder in its environment: so it is found in whatever session it
is, stopped or not.
"""

import contextlib
import os
import shutil
import sys
import time

import psutil

MARK = "SAMESTEP_SCRATCH"
# Between SIGTERM and SIGKILL. A cell that has not ended by then loses nothing: nobody waits for its record any more.
GRACE_S = 2.0
KILLS = 3  # rounds of SIGKILL, as one round may miss what was forked meanwhile; the kernel ends the rest by itself


def main(lifeline: str, scratch: str) -> None:
    os.read(int(lifeline), 1)
    end_marked(scratch)
    shutil.rmtree(scratch, ignore_errors=True)


def end_marked(scratch: str) -> None:
    """End all that carries the mark of this scratch folder, SIGTERM first and then SIGKILL.

    Every process gets its signal, however long a look takes: with many processes it can take seconds.
    """
    asked: set[psutil.Process] = set()
    deadline, kills = None, 0
    while (left := marked(scratch)) and kills < KILLS:
        deadline = deadline or time.monotonic() + GRACE_S  # from the first SIGTERM on
        late = time.monotonic() > deadline
        kills += late
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                if late:
                    process.kill()
                elif process not in asked:
                    process.terminate()
        asked |= left
        time.sleep(GRACE_S / KILLS if late else 0.05)


def marked(scratch: str) -> set[psutil.Process]:
    """The processes that carry it; not those that have ended and were not waited for."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # gone, or another user's
            if process.environ().get(MARK) == scratch:
                found.add(process)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
