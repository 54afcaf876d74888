"""Real processes of the fake framework that run out of memory: by a limit, by the kernel's OOM killer, by an abort."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench import oom
from bench.launch import Launcher
from tests.process.test_launch import run

LIMIT = 200 * 2**20  # bytes
ROOT = Path("/sys/fs/cgroup")


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup whose processes may hold `LIMIT`: of version 2, or else 1; only root can make one."""
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    places = [(ROOT / own.get("", "").strip("/"), "memory.max")]
    places += [(ROOT / "memory" / own.get("memory", "").strip("/"), "memory.limit_in_bytes")]
    for place, limit in places:
        folder = place / f"samestep-{os.getpid()}"
        with suppress(OSError):
            folder.mkdir()
            try:
                if not (folder / limit).exists():  # memory is not limited by this version here
                    continue
                (folder / limit).write_text(str(LIMIT))
                with suppress(OSError):
                    (folder / "memory.swap.max").write_text("0")
                yield folder
                return
            finally:
                folder.rmdir()
    pytest.skip("no cgroup can be made here that limits memory")


def test_a_limit_of_the_address_space(launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_LIMIT", str(LIMIT))
    monkeypatch.setenv("FAKE_PER_SAMPLE", str(LIMIT // 40))
    found = run(launcher, tmp_path / "cell").fields
    assert found["status"] == "oom" and "in compile: Unable to allocate 240. MiB" in found["reason"], found


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("abort-step", "oom", "the cell was ended by SIGABRT, after it had said: terminate called after throwing an "
         "instance of 'std::bad_alloc'"),
        ("mute-step", "killed", "the cell was ended by SIGABRT"),
        ("shot-step", "killed", "the cell was ended by SIGKILL"),
        ("words-step", "crashed", "RuntimeError in compile: memory format is not channels last"),
        ("score-step", "crashed", "RuntimeError in compile: score 1000"),  # the kernel's first choice
    ],
)  # fmt: skip
def test_what_a_process_leaves_behind(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, status: str, reason: str
) -> None:
    monkeypatch.setenv("FAKE_FAULT", fault)
    found = run(launcher, tmp_path / "cell").fields
    assert (found["status"], found["reason"]) == (status, reason), found
    assert Path("/proc/self/oom_score_adj").read_text().strip() != "1000"


@pytest.mark.parametrize("phase", ["step", "import"])  # in the import it is a template, if cells are forked
def test_whom_the_kernel_ends_lacked_memory(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: Path, phase: str
) -> None:
    before = oom.oom_kills()
    monkeypatch.setenv("FAKE_CGROUP", str(cgroup))
    monkeypatch.setenv("FAKE_FAULT", f"gobble-{phase}")
    found = run(launcher, tmp_path / "cell", timeout_s=60.0).fields
    assert found["status"] == "oom", found
    who, then = (
        ("template process", " while it imported numpy") if phase == "import" and not launcher.cold else ("cell", "")
    )
    assert found["reason"] == f"the {who} was ended by SIGKILL{then}, which the kernel's OOM killer sent"
    assert before is not None and (oom.oom_kills() or 0) > before
