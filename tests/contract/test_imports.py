"""Who may import whom, read from the source: nothing is imported to find out."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMEWORKS = {"torch": {"torch"}, "tf": {"tensorflow"}, "jax": {"jax", "jaxlib", "optax"}}
ALL_FRAMEWORKS = set().union(*FRAMEWORKS.values()) | {"keras", "flax"}
REPORTING = {"pandas", "plotly", "jinja2", "markupsafe", "kaleido"}
CLI_PACKAGES = {"numpy", "psutil", "pynvml", "rich", "scipy", "typer"}


def imported(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, wherever in it; relative ones made absolute."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                yield ".".join([*start, alias.name])


def forbidden(folder: str, allowed_first: set[str], allowed_own: tuple[str, ...]) -> list[str]:
    """Imports below a folder that are neither standard library, nor of an allowed package or own module."""
    found: list[str] = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in imported(path):
            first = name.split(".")[0]
            own = any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed_own)
            if not (first in sys.stdlib_module_names or first in allowed_first or own):
                found.append(f"{path.relative_to(ROOT)}: {name}")
    return found


def test_bench_imports_no_framework_and_no_report() -> None:
    assert forbidden("bench", CLI_PACKAGES, ("bench",)) == []


@pytest.mark.parametrize("impl", FRAMEWORKS)
def test_impl_imports_the_specification_and_its_own_framework(impl: str) -> None:
    own = ("bench.spec", "bench.optimizer", "bench.precision", "bench.workloads", f"impls.{impl}")
    assert forbidden(f"impls/{impl}", FRAMEWORKS[impl] | {"numpy"}, own) == []


def test_report_imports_what_it_reads_from() -> None:
    readers = (
        "store",
        "record",
        "metrics",
        "stats",
        "compare",
        "anomalies",
        "arms",
        "units",
        "text",
        "browsers",
        "windows",
    )
    readers += ("attainable", "peaks", "traffic")
    own = (*(f"bench.{name}" for name in readers), "report")
    assert forbidden("report", REPORTING | {"numpy"}, own) == []


WORKER = (
    "worker.py", "template.py", "calls.py", "ceilings.py", "measure.py", "waits.py",
    "examine.py", "exchange.py", "failures.py", "feed.py",
    "probes.py", "precision.py", "spec.py", "optimizer.py", "machine/environment.py", "machine/memory.py",
    "machine/noise.py", "machine/processor.py", "workloads/*.py", "data/*.py",
)  # fmt: skip


@pytest.mark.parametrize("pattern", WORKER)
def test_worker_needs_numpy_alone(pattern: str) -> None:
    files = sorted((ROOT / "bench").glob(pattern))
    assert files
    outside = {
        first
        for file in files
        for imports in imported(file)
        if (first := imports.split(".")[0]) not in sys.stdlib_module_names | {"bench", "numpy"}
    }
    assert outside == set()


def test_worker_imports_nothing_else_of_the_runner() -> None:
    """So that what is measured holds as little as can be."""
    own = [f"bench.{pattern.removesuffix('/*.py').removesuffix('.py').replace('/', '.')}" for pattern in WORKER]
    for path in (path for pattern in WORKER for path in (ROOT / "bench").glob(pattern)):
        for module in imported(path):
            known = any(module == one or module.startswith(f"{one}.") for one in own)
            assert known or not module.startswith("bench"), (path, module)


@pytest.mark.parametrize("impl", FRAMEWORKS)
def test_manifest_is_pure_data(impl: str) -> None:
    assert list(imported(ROOT / "impls" / impl / "manifest.py")) == []


def test_the_check_can_fail() -> None:
    assert forbidden("bench", set(), ("bench",)) != []
    assert any("tensorflow" in line for line in forbidden("impls/tf", {"numpy"}, ("bench", "impls")))


def test_frameworks_stay_in_their_folder() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if parts[0] in {"bench", "impls", "report"}:
            used = {name.split(".")[0] for name in imported(path)} & ALL_FRAMEWORKS
            assert used <= FRAMEWORKS.get(parts[1] if parts[0] == "impls" else "", set()), path
