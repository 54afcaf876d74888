"""The processor, its limits, the cores that a cell may use; read from the system's own files below a root folder.

Every value may be None where the system does not tell: `why_unknown` says so for all of them at once.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

UNLIMITED = 2**60  # above it a limit of memory in cgroup 1 means none


def physical_cores() -> tuple[int, ...]:
    """One logical processor of each physical core that this process may use."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    first_of: dict[str, int] = {}
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        first_of.setdefault(siblings.read_text() if siblings.exists() else str(cpu), cpu)
    return tuple(first_of.values())


def text(path: Path) -> str | None:
    """A file's text without white space around it, None where it cannot be read or says nothing."""
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def cpuinfo(root: Path) -> list[dict[str, str]]:
    """Names and values of /proc/cpuinfo, one dict a logical processor."""
    found: list[dict[str, str]] = []
    for block in (text(root / "proc/cpuinfo") or "").split("\n\n"):
        lines = (line.partition(":") for line in block.splitlines())
        found.append({name.strip(): value.strip() for name, _, value in lines})
    return [one for one in found if "processor" in one]


def describe(cores: Iterable[int], root: Path = Path("/")) -> dict[str, Any]:
    """Sockets, clock policy, threads a core, virtualisation, limits of the container, by name."""
    info, cpu = cpuinfo(root), root / "sys/devices/system/cpu"
    flags = info[0].get("flags", info[0].get("Features", "")).split() if info else []
    governors = {text(cpu / f"cpu{core}/cpufreq/scaling_governor") for core in cores} - {None}
    return {
        "sockets": len({one["physical id"] for one in info if "physical id" in one}) or None,
        "governor": ", ".join(sorted(map(str, governors))) or None,
        "boost": boost(cpu),
        "smt": {"on": True, "off": False, "forceoff": False, "notsupported": False, "notimplemented": False}.get(
            text(cpu / "smt/control") or ""
        ),
        "virtual": "hypervisor" in flags if flags else None,
        "limits": limits(root),
    }


def boost(cpu: Path) -> bool | None:
    """Whether clocks may rise above the nominal one."""
    with suppress(KeyError):
        return {"1": True, "0": False}[text(cpu / "cpufreq/boost") or ""]
    with suppress(KeyError):
        return {"0": True, "1": False}[text(cpu / "intel_pstate/no_turbo") or ""]
    return None


def limits(root: Path = Path("/")) -> dict[str, Any]:
    """What the container may use: cores' worth of time, processors, bytes. None: no limit, or none that is told."""
    cgroup = root / "sys/fs/cgroup"
    new = [
        folder for folder in own_folders(root, "") if (folder / "cpu.max").exists() or (folder / "memory.max").exists()
    ]
    quotas = [_quota_2(folder / "cpu.max") for folder in new]
    quotas += [_quota_1(folder) for folder in own_folders(root, "cpu")]
    sizes = [_size(folder / "memory.max") for folder in new]
    sizes += [_size(folder / "memory.limit_in_bytes") for folder in own_folders(root, "memory")]
    sets = [text(folder / "cpuset.cpus.effective") for folder in own_folders(root, "")]
    sets += [text(folder / "cpuset.effective_cpus") for folder in own_folders(root, "cpuset")]
    return {
        "cores": min((quota for quota in quotas if quota is not None), default=None),
        "cpuset": next((one for one in sets if one), text(cgroup / "cpuset/cpuset.cpus")),
        "memory_bytes": min((size for size in sizes if size is not None), default=None),
    }


def memory_left(root: Path = Path("/")) -> int | None:
    """Bytes that the limits of the container leave, by the narrowest; pages of files that it can give back are free.

    None where there is no limit. A limit whose use is not told counts whole.
    """
    folders = [(folder, "max", "current", "inactive_file") for folder in own_folders(root, "")]
    folders += [
        (folder, "limit_in_bytes", "usage_in_bytes", "total_inactive_file") for folder in own_folders(root, "memory")
    ]
    found: list[int] = []
    for folder, limit, use, given_back in folders:
        if (most := _size(folder / f"memory.{limit}")) is not None:
            used = (_size(folder / f"memory.{use}") or 0) - _field(folder / "memory.stat", given_back)
            found.append(max(most - max(used, 0), 0))
    return min(found, default=None)


def cache_bytes(cores: Iterable[int], root: Path = Path("/")) -> int | None:
    """Bytes of the last-level caches that some cores have, each counted once; None where the system does not tell."""
    found: dict[str, int] = {}
    for core in cores:
        levels = sorted(
            (int(text(index / "level") or 0), text(index / "shared_cpu_list") or str(core), size)
            for index in (root / f"sys/devices/system/cpu/cpu{core}/cache").glob("index*")
            if (size := text(index / "size")) and size.endswith("K") and size[:-1].isdecimal()
        )
        if levels:
            _, shared, size = levels[-1]
            found[shared] = int(size[:-1]) * 1024
    return sum(found.values()) or None


def own_folders(root: Path, controller: str) -> list[Path]:
    """Folders of this process's cgroup and all above it, the innermost first; controller "" is cgroup 2."""
    base = root / "sys/fs/cgroup" / controller
    lines = (line.split(":", 2) for line in (text(root / "proc/self/cgroup") or "").splitlines())
    paths = [path for _, names, path in lines if controller in names.split(",")]
    inner = base / (paths[0].lstrip("/") if paths else "")
    if not inner.exists():  # in a container of its own namespace the path is that of the host
        inner = base
    return [inner, *(folder for folder in inner.parents if folder.is_relative_to(base))]


def _quota_2(file: Path) -> float | None:
    words = (text(file) or "max").split()
    return None if words[0] == "max" or len(words) < 2 else int(words[0]) / int(words[1])


def _quota_1(folder: Path) -> float | None:
    quota, period = (text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return int(quota) / int(period) if quota and period and int(quota) > 0 else None


def _size(file: Path) -> int | None:
    found = text(file)
    return int(found) if found and found != "max" and int(found) < UNLIMITED else None


def _field(file: Path, name: str) -> int:
    """A number of a file whose lines are names and numbers; 0 where it is not told."""
    for line in (text(file) or "").splitlines():
        if line.startswith(f"{name} "):
            return int(line.split()[1])
    return 0
