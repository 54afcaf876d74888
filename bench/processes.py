"""Processes of this machine: waiting for a child in the kernel, ending it with all that descends from it."""

import contextlib
import ctypes
import os
import select
import time

import psutil

GRACE_S = 2.0  # between SIGTERM and SIGKILL


def wait(pid: int, timeout_s: float) -> bool:
    """Sleep in the kernel until a child has ended; whether it did within the time."""
    if hasattr(os, "pidfd_open"):
        handle = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(timeout_s * 1000))
        finally:
            os.close(handle)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.05)
    return False


def end(pid: int) -> None:
    """End a child and all that descends from it, SIGTERM first and then SIGKILL, and reap it."""
    try:
        doomed = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(doomed, GRACE_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, GRACE_S)


def sweep(known: set[int]) -> None:
    """End the runner's children that are not in `known`: what a cell left behind, and what that leaves in turn."""
    for _ in range(10):
        left = children() - known
        for pid in left:
            end(pid)
        if not left:
            return


def children() -> set[int]:
    """Process ids of the runner's own children."""
    return {child.pid for child in psutil.Process().children()}


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
