"""What failures are called: lack of memory in everybody's words, and what only sounds like it."""

from pathlib import Path

import pytest

from bench import failures, oom
from bench.machine import memory
from bench.ranks import Outcome


class OutOfMemoryError(RuntimeError):
    pass


class XlaError(RuntimeError):
    pass


LACKS = [
    MemoryError(),
    OSError(12, "Cannot allocate memory"),
    OutOfMemoryError("CUDA: tried to get 20.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    XlaError("RESOURCE_EXHAUSTED: Out of memory allocating 10675328772 bytes."),
    RuntimeError("std::bad_alloc"),
    RuntimeError(
        "Graph error:\nOperation received an exception:Status: 1, message: could not create a primitive, in x"
    ),
    RuntimeError("program failed:\ncc1plus: out of memory allocating 65536 bytes after a total of 1 bytes"),
]
OTHERS = [
    RuntimeError("memory format is not channels last"),
    RuntimeError("an illegal memory access was encountered"),
    KeyError("out of memory"),
    XlaError("RESOURCE_EXHAUSTED: Shared memory size limit exceeded: requested 300000, available: 232448"),
    XlaError("INVALID_ARGUMENT: memory space of the result"),
]


@pytest.mark.parametrize("error", LACKS, ids=str)
def test_lack_of_memory(error: Exception) -> None:
    assert failures.status_of(error, "fp32", "compile") == failures.status_of(error, "bf16", "steady state") == "oom"


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_what_sounds_like_it(error: Exception) -> None:
    assert failures.status_of(error, "fp32", "compile") == "crashed"


def test_the_reason_is_the_line_that_tells() -> None:
    assert failures.reason_of(LACKS[-1], "compile").startswith("RuntimeError in compile: cc1plus: out of memory")
    outer = RuntimeError("compilation failed")
    outer.__cause__ = MemoryError("no more")
    assert failures.status_of(outer, "fp32", "compile") == "oom"
    assert failures.reason_of(outer, "compile") == "RuntimeError in compile: no more"
    assert failures.reason_of(OTHERS[0], "init") == "RuntimeError in init: memory format is not channels last"


@pytest.mark.parametrize(
    "said", ["could not create a primitive", "aoti_torch_cpu_convolution(arg0) API call failed at x"]
)
def test_a_call_that_does_not_say_why_is_judged_by_the_limit(said: str, tmp_path: Path) -> None:
    error = RuntimeError(said)
    (tmp_path / "status").write_text("VmHWM: 400 kB\nRssAnon: 1 kB\nRssFile: 1 kB\nRssShmem: 1 kB\n")
    (tmp_path / "limits").write_text(f"{'Max data size':<26}{1000 * 1024:<21}{1000 * 1024:<21}bytes")
    told = failures.without_words(error, tmp_path)
    assert told and told.startswith(said[:30]) and told.endswith("held 409600 bytes and may have 1024000")
    (tmp_path / "limits").write_text(f"{'Max data size':<26}{1300 * 1024:<21}{1300 * 1024:<21}bytes")
    assert failures.without_words(error, tmp_path) is None
    assert failures.without_words(RuntimeError("could not create a primitive descriptor"), tmp_path) is None
    assert failures.status_of(error, "fp32", "compile") == "crashed"  # no limit here


def kernel(tmp_path: Path, kills: int, cgroup: int | None = None) -> tuple[Path, Path]:
    """A /proc and a /sys/fs/cgroup that count so many."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True, exist_ok=True)
    (proc / "vmstat").write_text(f"pgfault 17\noom_kill {kills}\n")
    (proc / "self" / "cgroup").write_text("4:memory:/old\n0::/user/run\n")
    if cgroup is not None:
        (cgroups / "user" / "run").mkdir(parents=True, exist_ok=True)
        (cgroups / "user" / "run" / "memory.events").write_text(f"low 0\nmax 7\noom 2\noom_kill {cgroup}\n")
    return proc, cgroups


def test_kills_are_counted_where_the_cell_is(tmp_path: Path) -> None:
    assert oom.oom_kills(*kernel(tmp_path, 5)) == 5
    assert oom.oom_kills(*kernel(tmp_path, 5, cgroup=2)) == 2
    assert oom.oom_kills(tmp_path / "none", tmp_path / "none") is None


def killed(name: str, told_at: float = 0.0) -> Outcome:
    return Outcome(fields={"status": "killed", "reason": f"the cell was ended by {name}"}, told_at=told_at)


def test_a_kill_is_the_kernels_if_it_counted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oom, "oom_kills", lambda: 3)
    log = tmp_path / "log"
    found = oom.explained(killed("SIGKILL"), oom.Before(kills=2, logged=0), log)
    assert found.fields == {
        "status": "oom",
        "reason": "the cell was ended by SIGKILL, which the kernel's OOM killer sent",
    }
    for before in (3, None):
        assert oom.explained(killed("SIGKILL"), oom.Before(kills=before, logged=0), log).fields["status"] == "killed"
    assert oom.explained(killed("SIGSEGV"), oom.Before(kills=2, logged=0), log).fields["status"] == "killed"


def test_an_abort_is_judged_by_what_this_cell_has_logged(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of another cell: std::bad_alloc\n")
    before = oom.Before.of(log)
    assert oom.explained(killed("SIGABRT"), before, log).fields["status"] == "killed"
    with log.open("a") as file:
        file.write("ran out of memory trying to allocate 2 GiB. The caller indicates that this is not a failure\n")
    assert oom.explained(killed("SIGABRT"), before, log).fields["status"] == "killed"
    with log.open("a") as file:
        file.write("libgomp: Out of memory allocating 128 bytes\n")
    found = oom.explained(killed("SIGABRT"), before, log).fields
    assert found["status"] == "oom" and found["reason"].endswith(
        "had said: libgomp: Out of memory allocating 128 bytes"
    )
    assert oom.explained(killed("SIGABRT", told_at=1.0), before, log).fields["status"] == "killed"


def test_a_crash_close_to_a_limit_is_lack_of_memory() -> None:
    assert oom.ended("SIGSEGV", 3 * 2**30, 2**30).fields["status"] == "oom"
    assert (
        "held 1.00\N{NO-BREAK SPACE}GiB and may have 3.00\N{NO-BREAK SPACE}GiB"
        in oom.ended("SIGSEGV", 3 * 2**30, 2**30).fields["reason"]
    )
    for name, limit, held in (("SIGSEGV", None, 2**30), ("SIGSEGV", 2**40, 2**30), ("SIGKILL", 2**30, 2**30)):
        found = oom.ended(name, limit, held).fields
        assert found == {"status": "killed", "reason": f"the cell was ended by {name}"}


def test_limits_are_those_of_memory(tmp_path: Path) -> None:
    lines = ["Limit                     Soft Limit           Hard Limit           Units     "]
    rows = {"Max data size": "unlimited", "Max stack size": "8388608", "Max address space": "5000000"}
    lines += [f"{name:<26}{soft:<21}{'unlimited':<21}bytes     " for name, soft in rows.items()]
    (tmp_path / "limits").write_text("\n".join(lines))
    assert memory.limit_of(tmp_path) == 5_000_000
    assert memory.limit_of(tmp_path / "none") is None
