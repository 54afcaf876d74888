"""What is around the frameworks: devices, the disk, permissions, noise, what the report needs."""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from bench import browsers
from bench.doctor import Check, bench
from bench.machine import accelerators, gpu, idle
from bench.machine.processor import physical_cores
from bench.proof import cache
from bench.units import scaled

LEAST_BYTES = 2**30  # compiled programs of three frameworks take hundreds of megabytes, on a machine of any size
DRIVERS = {"cuda": "nvidia-smi", "rocm": "rocm-smi"}  # what shows whether the driver is there
NODES = {"cuda": ("dev/nvidiactl", "dev/nvidia0"), "rocm": ("dev/kfd",), "tpu": ("dev/vfio", "dev/accel0")}
GROUPS = "sudo usermod -aG render,video $USER  # then log in again"  # who may use devices, on most systems


def machine(platform: str) -> Iterator[Check]:
    """The devices of the platform, what the driver tells, and who else computes here."""
    yield devices(platform)
    yield from permissions(platform)
    if platform == "cuda":
        told = gpu.fingerprint()
        if told.get("reason"):
            yield Check(what="driver", state="note", told=f"clocks, power and memory are not seen: {told['reason']}")
    load = idle.sample_load(physical_cores())
    if load.warning:
        yield Check(
            what="noise", state="note", told=load.warning.partition("; results")[0], mend=bench("run --wait-for-idle")
        )
    else:
        yield Check(what="noise", state="ok", told="others leave the cores free")


def devices(platform: str) -> Check:
    found = accelerators.here()[platform]
    if found:
        return Check(what="devices", state="ok", told=f"{platform}: {', '.join(found)}")
    hidden = [
        name
        for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
        if os.environ.get(name) is not None
    ]
    mend = f"unset {' '.join(hidden)}" if hidden else DRIVERS.get(platform, "")
    return Check(what="devices", state="fails", told=f"the system shows no {platform} device", mend=mend)


def permissions(platform: str, root: Path = Path("/")) -> Iterator[Check]:
    """Files of the platform's devices that are there and may not be used."""
    for node in NODES.get(platform, ()):
        if (root / node).exists() and not os.access(root / node, os.R_OK | os.W_OK):
            yield Check(what="permissions", state="fails", told=f"/{node} may not be used by you", mend=GROUPS)


def places(out: Path) -> Iterator[Check]:
    """Folders that a run writes to: that they can be, and have room."""
    for what, folder, mend in (
        ("runs", out, bench("run --out OTHER_FOLDER")),
        ("temporary files", Path(tempfile.gettempdir()), "export TMPDIR=OTHER_FOLDER"),
        ("evidence", cache.folder("proofs"), "export SAMESTEP_CACHE=OTHER_FOLDER"),
    ):
        yield place(what, folder, mend)


def place(what: str, folder: Path, mend: str) -> Check:
    """Whether files can be written in a folder, or in the one above it in which it would be made."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        told = f"{there} cannot be written to: {error.strerror or error}"
        return Check(what=what, state="fails", told=told, mend=mend)
    if free < LEAST_BYTES:
        told = f"{there} has {scaled(free, 'B')} free, {scaled(LEAST_BYTES, 'B')} are needed"
        return Check(what=what, state="fails", told=told, mend=mend)
    return Check(what=what, state="ok", told=f"{there}, {scaled(free, 'B')} free")


def reporting() -> Iterator[Check]:
    """What the report, pictures and Parquet need; a run does without."""
    for extra, modules in (
        ("report", ("pandas", "plotly", "jinja2")),
        ("images", ("kaleido",)),
        ("parquet", ("pyarrow",)),
    ):
        lacking = [module for module in modules if importlib.util.find_spec(module) is None]
        if lacking:
            yield Check(what=extra, state="note", told=f"{', '.join(lacking)} not installed", mend=pip(extra))
        elif extra == "images" and not browsers.find():
            yield Check(what=extra, state="note", told="no browser, which draws them", mend="apt-get install chromium")
        else:
            yield Check(what=extra, state="ok", told=", ".join(f"{name} {metadata.version(name)}" for name in modules))


def pip(extra: str) -> str:
    """The command that installs what an extra of this package asks for; the package need not be on an index."""
    asked = metadata.requires("samestep") or []
    wanted = [one.partition(";")[0].strip() for one in asked if one.replace('"', "'").endswith(f"extra == '{extra}'")]
    return f"{sys.executable} -m pip install {' '.join(repr(one) for one in wanted)}"
