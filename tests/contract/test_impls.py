"""Every framework's folder has the same files, and in them the same functions with the same parameters."""

import ast
from pathlib import Path

import pytest

from bench import manifests, workloads

ROOT = Path(__file__).parents[2] / "impls"
IMPLS = manifests.BUILT_IN
BACKEND = {
    "configure": ["request"],
    "devices": [],
    "put": ["batch"],
    "gather": ["numbers"],
    "all_reduce": ["elements"],
    "sync": ["x"],
    "read": ["x"],
    "memory": [],
    "threads": [],
    "versions": [],
}
WORKLOAD = {
    "build": ["workload", "params", "request"],
    "export": ["state", "names", "device"],
    "optimisations": ["state"],
    "kernels": ["workload", "request"],
}
MANIFEST = ["NAME", "MODULE", "PACKAGES", "VARIANTS", "DEFAULT_VARIANT", "ENVIRONMENT", "PRELOAD"]


CEILINGS = {"product": ["side", "request"], "scaled_copy": ["bytes_", "request"]}
PROBE = {"products": ["request", "conv", "transposed"]}


def functions(path: Path) -> dict[str, list[str]]:
    """Names of the parameters of each function at the top level of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: [argument.arg for argument in node.args.args] for node in found}


@pytest.mark.parametrize("impl", IMPLS)
def test_backend_has_the_contract(impl: str) -> None:
    found = functions(ROOT / impl / "backend.py")
    assert {name: found.get(name) for name in BACKEND} == BACKEND


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("workload", workloads.WORKLOADS)
def test_workload_has_the_contract(impl: str, workload: str) -> None:
    found = functions(ROOT / impl / f"{workload}.py")
    assert {name: found.get(name) for name in WORKLOAD} == WORKLOAD


@pytest.mark.parametrize("impl", IMPLS)
def test_probe_has_the_contract(impl: str) -> None:
    found = functions(ROOT / impl / "probe.py")
    assert {name: found.get(name) for name in PROBE} == PROBE


@pytest.mark.parametrize("impl", IMPLS)
def test_ceilings_have_the_contract(impl: str) -> None:
    found = functions(ROOT / impl / "ceilings.py")
    assert list(found)[: len(CEILINGS)] == list(CEILINGS)
    assert {name: found[name] for name in CEILINGS} == CEILINGS


def test_fake_framework_has_the_contract_too() -> None:
    fake = ROOT.parent / "tests" / "fake"
    assert set(BACKEND) <= set(functions(fake / "backend.py"))
    assert set(WORKLOAD) <= set(functions(fake / "autoencoder.py"))
    assert set(CEILINGS) <= set(functions(fake / "ceilings.py"))


@pytest.mark.parametrize("impl", IMPLS)
def test_manifest_names_everything(impl: str) -> None:
    tree = ast.parse((ROOT / impl / "manifest.py").read_text(encoding="utf-8"))
    targets = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]
    assert set(MANIFEST) <= set(targets)
    manifest = manifests.find()[impl]
    assert set(manifest.default_variant.values()) <= set(manifest.variants)


def test_folders_have_the_same_files() -> None:
    shared = {"__init__.py", "manifest.py", "backend.py", "probe.py", "ceilings.py"}
    shared |= {"layers.py", "optimizers.py", "loss_scale.py", "evidence.py"}
    shared |= {f"{name}.py" for name in workloads.WORKLOADS}
    for impl in IMPLS:
        assert shared <= {path.name for path in (ROOT / impl).glob("*.py")}, impl


@pytest.mark.parametrize("impl", IMPLS)
def test_no_branch_on_the_dtype(impl: str) -> None:
    """The code that is proven in float64 must be what is measured in float32; `evidence` is part of no step."""
    for path in sorted({*(ROOT / impl).glob("*.py")} - {ROOT / impl / "evidence.py"}):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.If | ast.IfExp | ast.Match):
                test = ast.unparse(node.subject if isinstance(node, ast.Match) else node.test)
                asks = ("dtype" in test and "kind" not in test) or "float" in test  # kind: integers are widened
                assert not asks, f"{path.name}:{node.lineno}: if {test}"
