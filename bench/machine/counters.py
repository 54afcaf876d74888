"""The counters of energy that this machine has, as the library zeus reads them.

It is for `bench.sampler` alone: to import zeus takes an HTTP client along, and for each socket it starts a process that
looks for the counter's end. Nothing is ever set.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine.accelerators import visible

# Variables that hide GPUs, of which the first that is set counts
MASKS = {"cuda": ("CUDA_VISIBLE_DEVICES",), "rocm": ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")}
VENDORS = {"cuda": "NVIDIAGPUs", "rocm": "AMDGPUs"}  # zeus's classes
GPU_SOURCE = "{} of the cell's whole GPUs, whoever used them"
SOURCES = {"cuda": "NVML's counters", "rocm": "AMD SMI's counters"}
RAPL_SOURCE = "RAPL's counters of {} whole package{}, whoever used them, without memory"
# Between readings. A GPU's counter moves seldom, so that its steps have to be caught. RAPL's moves always; to read it
# wakes a core of the cell's: 0.05 s place the two edges of a window of 0.25 s to a tenth of it.
PERIOD_S = {"cuda": 0.02, "rocm": 0.02, "cpu": 0.05}


@dataclass(frozen=True, kw_only=True)
class Counters:
    """One for each device, in the order in which the frameworks count them."""

    source: str
    period_s: float
    joules: Sequence[Callable[[], float]]

    def read(self) -> list[float | str]:
        """Joules of each device since some beginning, or why it does not tell."""
        return [_told(one) for one in self.joules]


def find(platform: str) -> Counters:
    """The counters of a platform's devices.

    Raises:
        OSError: there are none; the text says why.
    """
    if platform not in PERIOD_S:
        raise OSError(f"samestep knows no counter of energy of a {platform}")
    try:
        zeus = importlib.import_module("zeus")
        source, joules = _packages() if platform == "cpu" else _gpus(platform)
    except OSError:
        raise
    except Exception as error:  # zeus has some thirty kinds, and lets through what its libraries raise
        raise OSError(f"no counter of energy: {' '.join(str(error).split())}") from error
    found = Counters(source=f"{source} (zeus {zeus.__version__})", period_s=PERIOD_S[platform], joules=joules)
    told = found.read()
    if all(isinstance(one, str) for one in told):
        raise OSError(f"no counter of energy can be read: {told[0]}" if told else "no device has a counter of energy")
    return found


def _gpus(platform: str) -> tuple[str, list[Callable[[], float]]]:
    """Those that the frameworks see. Zeus is shown all, as it refuses values of the variable that they take."""
    places = _visible_places(platform)
    gpus: Any = importlib.import_module("zeus.device.gpu").get_gpus()
    if type(gpus).__name__ != VENDORS[platform]:
        raise OSError(f"zeus reads the counters of another vendor's GPUs here ({type(gpus).__name__})")
    names = {gpus.get_name(place) for place in range(len(gpus))}
    if platform == "cuda" and len(names) > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise OSError(
            "unlike GPUs, which CUDA and the driver number each in its own order: CUDA_DEVICE_ORDER=PCI_BUS_ID"
        )

    def joules(place: int) -> Callable[[], float]:
        return lambda: gpus.get_total_energy_consumption(place) / 1e3  # mJ

    return GPU_SOURCE.format(SOURCES[platform]), [joules(place) for place in places(len(gpus))]


def _visible_places(platform: str) -> Callable[[int], list[int]]:
    """Which of so many GPUs the frameworks see, in their order; takes the variables that say so from zeus."""
    masks = {name: os.environ.pop(name) for name in MASKS[platform] if name in os.environ}
    name, allowed = next(iter(masks.items()), ("", None))
    if platform == "rocm" and "ROCR_VISIBLE_DEVICES" in os.environ:
        raise OSError("ROCR_VISIBLE_DEVICES numbers the GPUs anew: use HIP_VISIBLE_DEVICES for energy")
    if allowed is not None and not all(one.strip().isdigit() for one in allowed.split(",")):
        raise OSError(f"{name} names GPUs by identifier, or parts of them: give numbers for energy")
    return lambda count: [int(place) for place in visible([str(place) for place in range(count)], allowed)]


def _packages() -> tuple[str, list[Callable[[], float]]]:
    """The packages that RAPL counts. A laptop's `psys` stands beside them and holds them: it is left out."""
    cpus: Any = importlib.import_module("zeus.device.cpu").get_cpus()
    zones = Path(cpus.rapl_dir)
    packages = [
        cpu for cpu in cpus.cpus if (zones / f"intel-rapl:{cpu.cpu_index}/name").read_text().startswith("package")
    ]

    def joules(cpu: Any) -> Callable[[], float]:
        return lambda: cpu.get_total_energy_consumption().cpu_mj / 1e3

    source = RAPL_SOURCE.format(len(packages), "" if len(packages) == 1 else "s")
    return source, [joules(cpu) for cpu in packages]


def _told(read: Callable[[], float]) -> float | str:
    try:
        return read()
    except Exception as error:  # a GPU that was lost, a right that was taken away: a word in the data
        return " ".join(str(error).split()) or type(error).__name__
