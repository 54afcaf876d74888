"""Which accelerators this machine has, as the system tells: no framework is asked, and nothing is started on them."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from bench.machine import gpu
from bench.machine.processor import physical_cores, text
from bench.spec import PLATFORMS

GOOGLE = "0x1ae0"  # vendor on the PCI bus
# Devices of that vendor which are TPUs, as JAX 0.10.2 knows them (jax/_src/hardware_utils.py)
TPUS = {
    "0x0027": "TPU v3", "0x0056": "TPU", "0x005e": "TPU v4", "0x0062": "TPU v5p", "0x0063": "TPU v5e",
    "0x006f": "TPU v6e", "0x0076": "TPU7x",
}  # fmt: skip


@lru_cache(maxsize=1)
def here() -> Mapping[str, tuple[str, ...]]:
    """Names of the devices of each platform; `cpu` is one device, however many are emulated on it."""
    return find(Path("/"), os.environ)


def find(root: Path, environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The same, below a root folder and with an environment."""
    nvidia = [device["name"] or "NVIDIA GPU" for device in gpu.fingerprint()["devices"]]
    cores = len(physical_cores())
    return {
        "cpu": (f"{cores} physical core{'s' if cores > 1 else ''}",),
        "cuda": visible(nvidia, environment.get("CUDA_VISIBLE_DEVICES")),
        "rocm": visible(
            amd_gpus(root), environment.get("ROCR_VISIBLE_DEVICES", environment.get("HIP_VISIBLE_DEVICES"))
        ),
        "tpu": tuple(tpus(root)),
    }


def visible(names: list[str], allowed: str | None) -> tuple[str, ...]:
    """Those that a variable such as CUDA_VISIBLE_DEVICES lets a process see, which ends at the first wrong place."""
    if allowed is None:
        return tuple(names)
    places = [place.strip() for place in allowed.split(",") if place.strip()]
    if not all(place.isdigit() for place in places):  # by identifier
        return tuple(names[: len([place for place in places if place != "-1"])])
    found: list[str] = []
    for place in map(int, places):
        if place >= len(names):
            break
        found.append(names[place])
    return tuple(found)


def amd_gpus(root: Path) -> list[str]:
    """AMD's GPUs: nodes of its kernel driver that have vector units."""
    found: list[str] = []
    for node in sorted((root / "sys/class/kfd/kfd/topology/nodes").glob("*")):
        lines = (line.split() for line in (text(node / "properties") or "").splitlines())
        numbers = {words[0]: words[1] for words in lines if len(words) == 2}
        if int(numbers.get("simd_count", 0)):
            found.append(text(node / "name") or "AMD GPU")
    return found


def tpus(root: Path) -> list[str]:
    """Google's TPUs on the PCI bus."""
    devices = (root / "sys/bus/pci/devices").glob("*")
    ids = [text(device / "device") or "" for device in sorted(devices) if text(device / "vendor") == GOOGLE]
    return [TPUS[one] for one in ids if one in TPUS]


def choose() -> str:
    """The platform that `auto` stands for: the first with devices that is no processor, else `cpu`."""
    return next((name for name in PLATFORMS if name != "cpu" and here()[name]), "cpu")
