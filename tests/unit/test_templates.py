"""How long a fork may take: by what the import took on the same machine."""

import io
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench import templates


@pytest.mark.parametrize(
    ("import_s", "limit_s"),
    [
        (0.2, templates.FORK_TIMEOUT_S),  # a fast machine, or a small framework
        (4.0, templates.FORK_TIMEOUT_S),
        (100.0, 100.0 * templates.FORK_IMPORTS),  # one that is slow, or short of memory
    ],
)
def test_a_slow_machine_has_longer_to_fork(monkeypatch: pytest.MonkeyPatch, import_s: float, limit_s: float) -> None:
    answers, limits = iter([{"import_s": import_s}, {"pid": 7}]), list[float]()

    def next_line(_: Any, timeout_s: float) -> bytes:
        limits.append(timeout_s)
        return json.dumps(next(answers)).encode()

    monkeypatch.setattr(templates, "next_line", next_line)
    process = cast("subprocess.Popen[bytes]", SimpleNamespace(stdin=io.BytesIO()))
    template = templates.Template(process=process)
    template.wait_until_ready(300.0, "numpy")
    assert template.fork(Path("request.json"), "impls.torch", Path("log"), {}) == 7
    assert limits == [300.0, limit_s]
