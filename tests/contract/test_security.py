"""Nothing that a file says is ever run: no pickle, no eval, no shell; read from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("bench", "impls", "report", "scripts")
MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "code",
    "codeop",
    "xmlrpc",
}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "tempfile.mktemp",
    "subprocess.getstatusoutput", "pd.read_pickle", "pandas.read_pickle", "torch.load", "np.fromregex", "jax.load",
    "webbrowser.open", "socket.socket", "urllib.request.urlopen", "requests.get", "httpx.get",
}  # fmt: skip
KEYWORDS = {"shell": True, "allow_pickle": True}


def findings(path: Path, source: str | None = None) -> Iterator[str]:
    """What a file does that may run what it reads, or leave the machine."""
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(source or path.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (f"{name}: import {one}" for one in modules if one.split(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS:
                yield f"{name}: {called}"
            for keyword in node.keywords:
                wanted = KEYWORDS.get(keyword.arg or "")
                if wanted and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is not wanted):
                    yield f"{name}: {called}({keyword.arg}=…)"
            if (
                called.endswith(".load")
                and called.split(".")[0] in ("np", "numpy")
                and "allow_pickle" not in str([keyword.arg for keyword in node.keywords])
            ):
                yield f"{name}: {called} without allow_pickle=False"


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_nothing_runs_what_it_reads() -> None:
    assert len(sources()) > 100
    assert [one for path in sources() for one in findings(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from yaml import load", "eval(x)", "exec(x)", "os.system(x)", "torch.load(x)",
        "subprocess.run(x, shell=True)", "subprocess.run(x, shell=y)", "np.load(x)", "np.load(x, allow_pickle=True)",
        "import xmlrpc.client", "socket.socket()",
    ],
)  # fmt: skip
def test_the_check_can_fail(line: str) -> None:
    assert list(findings(ROOT / "bench" / "made.py", line))


@pytest.mark.parametrize("line", ["np.load(x, allow_pickle=False)", "subprocess.run([x], shell=False)", "json.load(x)"])
def test_the_check_can_pass(line: str) -> None:
    assert not list(findings(ROOT / "bench" / "made.py", line))


def test_the_pages_script_makes_no_code_of_text() -> None:
    script = (ROOT / "report" / "templates" / "page.js").read_text(encoding="utf-8")
    forbidden = (
        r"\beval\b|\bFunction\s*\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\bfetch\b|XMLHttp|import\("
    )
    assert re.findall(forbidden, script) == []


def test_no_template_turns_the_escaping_off() -> None:
    for path in sorted((ROOT / "report" / "templates").glob("*.html")):
        assert not re.search(r"\|\s*safe|autoescape|Markup", path.read_text(encoding="utf-8")), path.name
    marked = [path.name for path in (ROOT / "report").rglob("*.py") if "Markup(" in path.read_text(encoding="utf-8")]
    assert marked == ["html.py"]
