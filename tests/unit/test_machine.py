"""The processor and its limits, from planted trees."""

import json
from pathlib import Path

import pytest

from bench.machine import processor
from bench.machine.fingerprint import fingerprint

CPUINFO = "\n\n".join(
    f"processor\t: {cpu}\nmodel name\t: Some CPU\nphysical id\t: {cpu // 4}\nflags\t\t: fpu hypervisor"
    for cpu in range(8)
)


def plant(root: Path, **files: str) -> Path:
    """Files below a root; `/` in their names is written `__` and `.` `_dot_`."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_processor(tmp_path: Path) -> None:
    root = plant(
        tmp_path, proc__cpuinfo=CPUINFO, sys__devices__system__cpu__smt__control="on\n",
        sys__devices__system__cpu__cpu0__cpufreq__scaling_governor="performance\n",
        sys__devices__system__cpu__cpu1__cpufreq__scaling_governor="powersave\n",
        sys__devices__system__cpu__intel_pstate__no_turbo="1\n",
    )  # fmt: skip
    assert processor.describe([0, 1], root) == {
        "sockets": 2, "governor": "performance, powersave", "boost": False, "smt": True, "virtual": True,
        "limits": {"cores": None, "cpuset": None, "memory_bytes": None},
    }  # fmt: skip


def test_nothing_told_is_none(tmp_path: Path) -> None:
    found = processor.describe([0], tmp_path)
    assert {value for name, value in found.items() if name != "limits"} == {None}


@pytest.mark.parametrize(("value", "boost"), [("1", True), ("0", False), ("", None)])
def test_boost_as_acpi_tells(tmp_path: Path, value: str, boost: bool | None) -> None:
    plant(tmp_path, cpufreq__boost=value)
    assert processor.boost(tmp_path) is boost


def test_limits_of_cgroup_2_are_the_narrowest_above(tmp_path: Path) -> None:
    root = plant(
        tmp_path, proc__self__cgroup="0::/pod/box\n",
        sys__fs__cgroup__pod__cpu_dot_max="150000 100000\n", sys__fs__cgroup__pod__box__cpu_dot_max="max 100000\n",
        sys__fs__cgroup__pod__box__memory_dot_max="2147483648\n", sys__fs__cgroup__pod__memory_dot_max="max\n",
        sys__fs__cgroup__pod__box__cpuset_dot_cpus_dot_effective="0-1\n",
    )  # fmt: skip
    assert processor.limits(root) == {"cores": 1.5, "cpuset": "0-1", "memory_bytes": 2**31}


def test_limits_of_cgroup_1(tmp_path: Path) -> None:
    """The path in /proc is the host's: in the container the limits stand at the top."""
    root = plant(
        tmp_path, proc__self__cgroup="4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
        sys__fs__cgroup__cpu__cpu_dot_cfs_quota_us="250000\n", sys__fs__cgroup__cpu__cpu_dot_cfs_period_us="100000\n",
        sys__fs__cgroup__memory__memory_dot_limit_in_bytes="1073741824\n",
        sys__fs__cgroup__cpuset__cpuset_dot_effective_cpus="2-5\n",
    )  # fmt: skip
    assert processor.limits(root) == {"cores": 2.5, "cpuset": "2-5", "memory_bytes": 2**30}


def test_no_limit_is_none(tmp_path: Path) -> None:
    root = plant(
        tmp_path, proc__self__cgroup="0::/\n", sys__fs__cgroup__cpu__cpu_dot_cfs_quota_us="-1\n",
        sys__fs__cgroup__cpu__cpu_dot_cfs_period_us="100000\n",
        sys__fs__cgroup__memory__memory_dot_limit_in_bytes="9223372036854771712\n",
    )  # fmt: skip
    assert processor.limits(root) == {"cores": None, "cpuset": None, "memory_bytes": None}


def test_fingerprint_is_plain_and_explains_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_SECRET", "hunter2")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = fingerprint()
    assert json.loads(json.dumps(found)) == found
    assert set(found["absent"]) == {name for name, value in found.items() if value is None}
    assert all(found["absent"].values())
    assert found["environment"]["OMP_NUM_THREADS"] == "3" and "hunter2" not in json.dumps(found)
