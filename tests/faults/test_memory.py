"""A worker that the kernel ends because its container has no memory left."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.place import Place

ROOT = Path("/sys/fs/cgroup")
LIMIT = 500 * 2**20  # for the runner, its guard, two templates and a worker that would take 2 GiB


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of its own with a limit of memory, in version 2 or 1."""
    new = (ROOT / "cgroup.controllers").exists()
    folder = ROOT / ("" if new else "memory") / f"samestep-faults-{os.getpid()}"
    try:
        if new:
            with suppress(OSError):  # it is on already
                (ROOT / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
        (folder / ("memory.max" if new else "memory.limit_in_bytes")).write_text(str(LIMIT))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group of its own may be made: {error}")
    yield folder
    folder.rmdir()


@pytest.mark.long
def test_out_of_memory_in_a_container(place: Place, group: Path, tried: Callable[..., None]) -> None:
    enter = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group / "cgroup.procs")]
    runner = place.start(before=enter, copies={"a": {}, "b": {"FAKE_FAULT": "eat-step"}})
    code, said = place.finish(runner)
    assert code == 1, said[-5:]
    for found in place.records():
        expected = {"a": "ok", "b": "oom"}[found["cell"]["impl"]]
        assert found["status"] == expected, found["reason"]
    place.nothing_left()
    tried("a worker runs out of memory (control group)", "oom")
