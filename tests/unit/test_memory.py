"""Host memory: the arithmetic on planted readings, and real processes that hold a known amount."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.machine import memory
from bench.machine.memory import HostMemory

MB = 10**6
linux = pytest.mark.skipif(sys.platform != "linux", reason=memory.NO_PROC)


def plant(process: Path, hwm: int, anon: int, file: int, shmem: int = 0) -> None:
    lines = {"VmHWM": hwm, "VmRSS": anon + file + shmem, "RssAnon": anon, "RssFile": file, "RssShmem": shmem}
    (process / "status").write_text("Name:\tx\n" + "".join(f"{name}:\t{kb} kB\n" for name, kb in lines.items()))


def test_pages_of_files_do_not_count(tmp_path: Path) -> None:
    """A phase maps 60 more of a library and takes 100 at most: its peak is 100 over the baseline."""
    host = HostMemory(process=tmp_path)
    plant(tmp_path, hwm=700, anon=500, file=200)
    host.begin()
    assert (tmp_path / "clear_refs").read_text() == "5"
    plant(tmp_path, hwm=860, anon=520, file=260)
    assert host.mark() == 600 * 1024
    plant(tmp_path, hwm=790, anon=530, file=260)
    assert host.mark() == 530 * 1024  # held at the end, though more than the peak less today's files
    assert (host.baseline, host.peak) == (500 * 1024, 600 * 1024)


def test_shared_memory_counts(tmp_path: Path) -> None:
    host = HostMemory(process=tmp_path)
    plant(tmp_path, hwm=700, anon=500, file=200)
    host.begin()
    plant(tmp_path, hwm=790, anon=510, file=200, shmem=80)
    assert host.mark() == 590 * 1024


def test_where_peaks_cannot_be_set_back_no_phase_has_one(tmp_path: Path) -> None:
    """The whole life's may then be the import's: no less than the truth."""
    (tmp_path / "clear_refs").mkdir()
    host = HostMemory(process=tmp_path)
    plant(tmp_path, hwm=900, anon=500, file=200)
    host.begin()
    plant(tmp_path, hwm=900, anon=510, file=200)
    assert host.mark() is None
    assert host.peak == 700 * 1024


@pytest.mark.parametrize("text", [None, "", "VmHWM: 5 kB\nRssAnon: 5 kB\n", "VmHWM: many kB\n"])
def test_a_system_that_does_not_tell(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "status").write_text(text)
    host = HostMemory(process=tmp_path)
    host.begin()
    assert host.mark() is None and host.baseline is None and host.peak is None
    assert memory.held_by([1], tmp_path) == 0  # a process that has ended


@linux
def test_growth_is_what_was_taken_and_given_back() -> None:
    host = HostMemory()
    host.begin()
    kept = np.ones(30 * MB, np.uint8)
    np.ones(50 * MB, np.uint8)
    first = host.mark()
    second = host.mark()
    assert host.baseline and host.peak == first
    if host.resets:
        assert first and first - host.baseline == pytest.approx(80 * MB, rel=0.05)
        assert second and second - host.baseline == pytest.approx(kept.size, rel=0.1)


@contextmanager
def forked(count: int, own_bytes: int) -> Iterator[list[int]]:
    """Processes that share all that this one holds, and take some bytes each."""
    ready, done, pids = os.pipe(), os.pipe(), list[int]()
    for _ in range(count):
        pids.append(os.fork())
        if pids[-1] == 0:
            os.close(done[1])
            own = np.ones(own_bytes, np.uint8)
            os.write(ready[1], b"x")
            os.read(done[0], 1)  # until the parent closes its end
            os._exit(own.size == 0)
    for _ in pids:
        os.read(ready[0], 1)
    try:
        yield pids
    finally:
        os.close(done[1])
        for pid in pids:
            os.waitpid(pid, 0)
        for end in (*ready, done[0]):
            os.close(end)


@linux
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_processes_share_counts_once() -> None:
    """Three children share 200 MB with their parent and hold 50 MB each: 350 MB in all, not 800."""
    before = memory.held_by([os.getpid()])
    assert before
    shared = np.ones(200 * MB, np.uint8)
    with forked(3, 50 * MB) as pids:
        together = memory.held_by([os.getpid(), *pids])
    assert together and together - before == pytest.approx(shared.size + 3 * 50 * MB, rel=0.15)


def system(root: Path, free_mib: int, **files: str | int) -> Path:
    """Files of a system with so much memory free; those of its cgroups by name, `/` written `__` and `.` `_dot_`."""
    told = {"proc__meminfo": f"MemAvailable: {free_mib * 1024} kB", **files}
    for name, content in told.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


MIB = 1 << 20


def test_of_a_containers_limit_what_it_holds_already_is_not_available(tmp_path: Path) -> None:
    """Of 4096 MiB it holds 3000, of which 1000 are pages of files that it can give back."""
    root = system(
        tmp_path, 100_000, proc__self__cgroup="0::/box", sys__fs__cgroup__box__memory_dot_max=4096 * MIB,
        sys__fs__cgroup__box__memory_dot_current=3000 * MIB,
        sys__fs__cgroup__box__memory_dot_stat=f"anon {1500 * MIB}\nactive_file 7\ninactive_file {1000 * MIB}",
    )  # fmt: skip
    assert memory.available(root) == 2096 * MIB


def test_the_limit_that_leaves_least_counts(tmp_path: Path) -> None:
    """The inner one is narrower, the outer one is nearly used up by others."""
    root = system(
        tmp_path, 100_000, proc__self__cgroup="0::/pod/box", sys__fs__cgroup__pod__box__memory_dot_max=2000 * MIB,
        sys__fs__cgroup__pod__box__memory_dot_current=100 * MIB, sys__fs__cgroup__pod__memory_dot_max=8000 * MIB,
        sys__fs__cgroup__pod__memory_dot_current=7900 * MIB,
    )  # fmt: skip
    assert memory.available(root) == 100 * MIB


def test_what_a_container_of_cgroup_1_has_left(tmp_path: Path) -> None:
    top = "sys__fs__cgroup__memory__memory_dot_"
    files: dict[str, str | int] = {
        f"{top}limit_in_bytes": 1000 * MIB, f"{top}usage_in_bytes": 900 * MIB,
        f"{top}stat": f"inactive_file 1\ntotal_inactive_file {300 * MIB}",
    }  # fmt: skip
    assert memory.available(system(tmp_path, 100_000, proc__self__cgroup="4:memory:/docker/abc", **files)) == 400 * MIB


@pytest.mark.parametrize(("held_mib", "left_mib"), [(5000, 0), (None, 4096)])
def test_a_limit_that_is_exceeded_leaves_nothing_and_one_whose_use_is_not_told_counts_whole(
    tmp_path: Path, held_mib: int | None, left_mib: int
) -> None:
    root = system(tmp_path, 100_000, proc__self__cgroup="0::/", sys__fs__cgroup__memory_dot_max=4096 * MIB)
    if held_mib is not None:
        system(root, 100_000, sys__fs__cgroup__memory_dot_current=held_mib * MIB)
    assert memory.available(root) == left_mib * MIB


def test_a_machine_with_less_free_than_a_container_may_have(tmp_path: Path) -> None:
    root = system(tmp_path, 500, proc__self__cgroup="0::/", sys__fs__cgroup__memory_dot_max=4096 * MIB)
    assert memory.available(root) == 500 * MIB
