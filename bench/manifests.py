"""Finds the implementations: folders of `impls`, and installed packages of the entry-point group `samestep.impls`.

Reads their manifests, which are pure data, and the metadata of installed packages; imports no framework.
"""

import importlib
import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from bench import environments
from bench.interpreters import OWN_INTERPRETER, Interpreter, given
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
    environments: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])  # by accelerator
    no_environment: Mapping[str, str] = field(default_factory=dict[str, str])  # by accelerator, why there is none
    elsewhere: tuple[str, ...] = ()  # accelerators whose builds PyPI does not have
    uv: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])  # flags, by accelerator
    interpreter: Interpreter = OWN_INTERPRETER

    @property
    def folder(self) -> Path:
        spec = importlib.util.find_spec(self.package)
        assert spec is not None and spec.origin is not None, self.package
        return Path(spec.origin).parent

    @property
    def installed(self) -> bool:
        return self.interpreter.has(self.module)

    @property
    def absence(self) -> str | None:
        """Why this implementation cannot run here, or None."""
        if self.installed:
            return None
        if self.interpreter.is_own:
            return (
                f"{self.module} is not installed: pip install 'samestep[{self.name}]', or bench env create {self.name}"
            )
        return f"{self.module} is not installed for {self.interpreter.name}"

    def lacks(self, variant: str) -> str | None:
        """Why a variant cannot run here although the framework is installed, or None."""
        program = self.programs.get(variant)
        if program is None or shutil.which(program):
            return None
        return f"{self.name} {variant} needs {program}: install it, for example with 'apt-get install {program}'"

    def versions(self) -> dict[str, str]:
        """Version of each distribution that is installed, by the name it is installed under."""
        there = self.interpreter.versions([name for alternatives in self.packages for name in alternatives])
        first = (next((name for name in alternatives if name in there), None) for alternatives in self.packages)
        return {name: there[name] for name in first if name}

    def software(self) -> dict[str, str]:
        """Versions that what is computed depends on: the framework's packages, numpy, Python's minor one."""
        minor = ".".join(self.interpreter.python.split(".")[:2])
        return self.versions() | self.interpreter.versions(["numpy"]) | {"python": minor}

    def processes(self, cell: Cell) -> int:
        """How many run a cell."""
        return cell.devices if self.process_per_device else 1

    def lock(self, accelerator: str) -> Path:
        """The file that pins all that an environment for an accelerator holds."""
        return self.folder / "locks" / f"{accelerator}.txt"

    def locks(self) -> list[str]:
        """The accelerators that there are such files for."""
        return sorted(path.stem for path in (self.folder / "locks").glob("*.txt"))

    def has(self, workload: str) -> bool:
        return (self.folder / f"{workload}.py").is_file()

    def variables(self, request: Request) -> dict[str, str]:
        """The environment variables for a request."""
        numbers = {"threads": request.threads, "platform": request.cell.platform, "devices": request.cell.devices}
        return {name: value.format(**numbers) for name, value in self.environment.items()}


@lru_cache(maxsize=1)
def known() -> dict[str, Manifest]:
    """Every implementation that there is, by name, the built-in ones first; as the runner's own Python would run it."""
    packages = {name: f"impls.{name}" for name in BUILT_IN}
    packages |= {point.name: point.value for point in metadata.entry_points(group=GROUP)}
    return {name: read(name, package) for name, package in packages.items()}


def find(python: Sequence[str] = ()) -> dict[str, Manifest]:
    """The same, each with the Python that runs it: the one named, else that of its environment, else the runner's own.

    Args:
        python: as `--python` has it, such as `torch=/opt/torch/bin/python`.

    Raises:
        WrongInput: what was named is no Python that can run cells.
    """
    found = known()
    interpreters = environments.interpreters(found) | given(python, list(found))
    return {
        name: replace(manifest, interpreter=interpreters.get(name, OWN_INTERPRETER)) for name, manifest in found.items()
    }


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
        environments=getattr(data, "ENVIRONMENTS", {}),
        no_environment=getattr(data, "NO_ENVIRONMENT", {}),
        elsewhere=getattr(data, "ELSEWHERE", ()),
        uv=getattr(data, "UV", {}),
    )
