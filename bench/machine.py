"""The fingerprint of the machine, the software and the command, and the cores that a cell may use."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil


def physical_cores() -> tuple[int, ...]:
    """One logical processor of each physical core that this process may use."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    first_of: dict[str, int] = {}
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        first_of.setdefault(siblings.read_text() if siblings.exists() else str(cpu), cpu)
    return tuple(first_of.values())


def fingerprint() -> dict[str, Any]:
    """The machine as records carry it: no host name, no user name, no environment."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_used": list(physical_cores()),
        "memory_bytes": psutil.virtual_memory().total,
        "load_1min": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """Model of the processor as the system names it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this package runs from, and whether it was changed; None outside a checkout."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def command() -> list[str]:
    """The command line, as `python -m bench` would be given it."""
    return ["python", "-m", "bench", *sys.argv[1:]]


if __name__ == "__main__":
    print(json.dumps(fingerprint(), indent=1))
