"""What can go wrong in a worker, by the name in the environment variable `FAKE_FAULT`: `<kind>-<phase>`.

In all processes of a cell, or in those whose ranks `FAKE_RANK` lists.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.fake import ranks


def fail_in(phase: str) -> None:
    """Go wrong now if this is the phase."""
    kind, _, where = os.environ.get("FAKE_FAULT", "").partition("-")
    if where != phase or str(ranks.rank) not in os.environ.get("FAKE_RANK", str(ranks.rank)).split(","):
        return
    match kind:
        case "raise":
            raise RuntimeError("the fault that was asked for")
        case "missing":
            raise NotImplementedError("convolution is not implemented for 'Half'")
        case "oom":
            raise MemoryError("cannot allocate 1 TiB")
        case "words":  # as someone would who has the word in another sense
            raise RuntimeError("memory format is not channels last")
        case "score":
            raise RuntimeError(f"score {Path('/proc/self/oom_score_adj').read_text()}")
        case "abort" | "mute" | "shot":
            if kind != "mute":
                os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
            os.kill(os.getpid(), signal.SIGKILL if kind == "shot" else signal.SIGABRT)
        case "gobble":  # in a cgroup that allows so much and no more
            (Path(os.environ["FAKE_CGROUP"]) / "cgroup.procs").write_text(str(os.getpid()))
            taken: list[bytes] = []
            while len(taken) < 2**11:  # not the whole machine, if the cgroup does not hold
                taken.append(b"x" * 2**20)
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)
        case "orphan":  # a grandchild in a session of its own that outlives the cell
            code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(3600)"
            subprocess.Popen([sys.executable, "-c", code, os.environ["FAKE_PID_FILE"]], start_new_session=True)
            while not Path(os.environ["FAKE_PID_FILE"]).exists():
                time.sleep(0.01)
