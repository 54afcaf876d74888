"""The fingerprint of the machine, the software and the command."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.machine import environment, gpu, processor
from bench.machine.processor import physical_cores

SILENT = "the system does not tell"
WHY_UNKNOWN = {
    "governor": "the system has no policy of clocks (no cpufreq), as in most virtual machines",
    "boost": "the system does not tell whether clocks may rise (no cpufreq), as in most virtual machines",
}


def fingerprint() -> dict[str, Any]:
    """The machine as records carry it: no host name, no user name, of the environment what is known to be harmless."""
    gpus = gpu.fingerprint()
    found: dict[str, Any] = {
        "system": platform.system(),
        "release": platform.release(),
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_used": list(physical_cores()),
        "memory_bytes": psutil.virtual_memory().total,
        "load_1min": round(os.getloadavg()[0], 2),
        **processor.describe(physical_cores()),
        "gpus": gpus["devices"] or None,
        "gpu_driver": gpus.get("driver"),
        "cuda_driver": gpus.get("cuda_driver"),
        "gpu_links": gpus.get("links"),
        "environment": environment.recorded(os.environ),
    }
    why = WHY_UNKNOWN | dict.fromkeys(("gpus", "gpu_driver", "cuda_driver", "gpu_links"), gpus.get("reason") or SILENT)
    return found | {"absent": {name: why.get(name, SILENT) for name, value in found.items() if value is None}}


SAME = ("system", "release", "python", "cpu", "cores_physical", "cores_logical", "cores_used", "sockets", "governor",
        "boost", "smt", "virtual", "limits", "gpus", "gpu_driver", "cuda_driver", "environment")  # fmt: skip


def differences(before: Any, now: Mapping[str, Any]) -> list[str]:
    """In what two fingerprints are not of the same machine in the same state, as text; load and memory may differ."""
    if not isinstance(before, Mapping):
        return ["it was not recorded"]
    pairs = [(name, plain(before.get(name)), plain(now.get(name))) for name in SAME]  # pyright: ignore[reportUnknownMemberType]
    return [f"{name} was {one} and is {other}" for name, one, other in pairs if one != other]


def plain(value: Any) -> str:
    """A value as JSON has it, so that one which was read back equals one which was not."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


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
    root = Path(__file__).parents[2]
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
