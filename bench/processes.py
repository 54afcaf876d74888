"""Processes of this machine: waiting for a child in the kernel, ending it with all that descends from it."""

import contextlib
import ctypes
import os
import select
import subprocess
import sys
import time
from collections.abc import Collection

import psutil

# Between SIGTERM and SIGKILL. On no machine does a result hang on it: what is ended is not waited for any more.
GRACE_S = 2.0
ROUNDS = 10  # of ending what is left: a process with much memory, or a GPU's, takes the kernel seconds after SIGKILL


def wait(pids: Collection[int], timeout_s: float) -> list[int]:
    """Sleep in the kernel until one or more of some children have ended; which did, none at the timeout."""
    deadline = time.monotonic() + timeout_s
    if hasattr(os, "pidfd_open"):
        with contextlib.ExitStack() as stack:
            handles: dict[int, int] = {}
            poll = select.poll()
            for pid in pids:
                handle = os.pidfd_open(pid)
                stack.callback(os.close, handle)
                poll.register(handle, select.POLLIN)
                handles[handle] = pid
            return [handles[handle] for handle, _ in poll.poll(max(0.0, timeout_s) * 1000)]
    while True:
        if ended := [pid for pid in pids if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)]:
            return ended
        if time.monotonic() > deadline:
            return []
        time.sleep(0.05)


def next_line(process: "subprocess.Popen[bytes]", timeout_s: float) -> bytes:
    """The next line that a process writes to its pipe; empty once it has ended.

    Raises:
        TimeoutError: it wrote none in time.
    """
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], timeout_s)
    if not readable:
        raise TimeoutError(f"did not answer within {timeout_s:g} s")
    return process.stdout.readline()


def end(*pids: int, grace_s: float = GRACE_S) -> None:
    """End processes and all that descends from them, SIGTERM first and then SIGKILL, and reap children among them."""
    doomed: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            doomed += [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(doomed, grace_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, GRACE_S)


def sweep(known: set[int]) -> None:
    """End the runner's children that are not in `known`: what a cell left behind, and what that leaves in turn."""
    for _ in range(ROUNDS):
        left = children() - known
        end(*left)
        if not left:
            return


def children() -> set[int]:
    """Process ids of the runner's own children."""
    return {child.pid for child in psutil.Process().children()}


def cpu_s(pid: int) -> float | None:
    """Processor seconds that a process has used, to the nanosecond; None where the system does not tell of others.

    Linux names another process's clock by its id: see clock_getcpuclockid(3).
    """
    if sys.platform != "linux":
        return None
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return None


def name_of(pid: int) -> str:
    """Name of a process, without its command line."""
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "(a process that cannot be seen from here)"


def become_subreaper() -> bool:
    """Have orphaned descendants handed to this process; whether the system can."""
    if not hasattr(os, "pidfd_open"):
        return False
    pr_set_child_subreaper = 36
    return ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) == 0
