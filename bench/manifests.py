"""Finds the implementations: folders of `impls`, and installed packages of the entry-point group `samestep.impls`.

Reads their manifests, which are pure data, and the metadata of installed packages; imports no framework.
"""

import importlib
import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path

from bench.spec import Cell, Request

GROUP = "samestep.impls"
BUILT_IN = ("torch", "tf", "jax")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the runner must know of an implementation before it starts one."""

    name: str
    package: str  # dotted name of its folder
    module: str  # import name of the framework; it is installed if this is found
    packages: tuple[tuple[str, ...], ...]  # distributions whose versions count, each with its alternatives
    variants: tuple[str, ...]
    default_variant: Mapping[str, str]  # by platform
    environment: Mapping[str, str]  # set before the import; values are formatted with a request's numbers
    preload: tuple[str, ...]  # modules that a template imports before it forks a cell
    programs: Mapping[str, str] = field(default_factory=dict[str, str])  # by variant, what it runs to compile
    process_per_device: bool = False  # else one process drives all devices of a cell
    unsupported: Mapping[str, str] = field(default_factory=dict[str, str])  # by platform, why it cannot run there

    @property
    def folder(self) -> Path:
        spec = importlib.util.find_spec(self.package)
        assert spec is not None and spec.origin is not None, self.package
        return Path(spec.origin).parent

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    @property
    def absence(self) -> str | None:
        """Why this implementation cannot run here, or None."""
        return None if self.installed else f"{self.module} is not installed: pip install 'samestep[{self.name}]'"

    def lacks(self, variant: str) -> str | None:
        """Why a variant cannot run here although the framework is installed, or None."""
        program = self.programs.get(variant)
        if program is None or shutil.which(program):
            return None
        return f"{self.name} {variant} needs {program}: install it, for example with 'apt-get install {program}'"

    def versions(self) -> dict[str, str]:
        """Version of each distribution that is installed, by the name it is installed under."""
        found: dict[str, str] = {}
        for alternatives in self.packages:
            for name in alternatives:
                if version := version_of(name):
                    found[name] = version
                    break
        return found

    def processes(self, cell: Cell) -> int:
        """How many run a cell."""
        return cell.devices if self.process_per_device else 1

    def has(self, workload: str) -> bool:
        return (self.folder / f"{workload}.py").is_file()

    def variables(self, request: Request) -> dict[str, str]:
        """The environment variables for a request."""
        numbers = {"threads": request.threads, "platform": request.cell.platform, "devices": request.cell.devices}
        return {name: value.format(**numbers) for name, value in self.environment.items()}


@cache
def version_of(distribution: str) -> str | None:
    """The version that is installed; reading it takes a millisecond, and every record asks for several."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def find() -> dict[str, Manifest]:
    """Every implementation that there is, installed framework or not, by name; the built-in ones first."""
    packages = {name: f"impls.{name}" for name in BUILT_IN}
    packages |= {point.name: point.value for point in metadata.entry_points(group=GROUP)}
    return {name: read(name, package) for name, package in packages.items()}


def read(name: str, package: str) -> Manifest:
    data = importlib.import_module(f"{package}.manifest")
    return Manifest(
        name=name,
        package=package,
        module=data.MODULE,
        packages=data.PACKAGES,
        variants=data.VARIANTS,
        default_variant=data.DEFAULT_VARIANT,
        environment=data.ENVIRONMENT,
        preload=data.PRELOAD,
        programs=getattr(data, "PROGRAMS", {}),
        process_per_device=getattr(data, "PROCESS_PER_DEVICE", False),
        unsupported=getattr(data, "UNSUPPORTED", {}),
    )
