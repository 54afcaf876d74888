"""Real processes of the fake framework: every way for a cell to end has its word, and nothing is left behind."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench import plan
from bench.launch import Launcher, Outcome
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.spec import Request

MANIFESTS: dict[str, Manifest] = {"fake": read("fake", "tests.fake")}
CELL = plan.plan_cells(Choice(impl=("fake",), workload=("autoencoder",)), MANIFESTS)[0]


def run(launcher: Launcher, folder: Path, timeout_s: float = 20.0, **changes: object) -> Outcome:
    request = Request(cell=CELL, task="measure", folder=str(folder), steps=3, min_time_s=0.02, window_s=0.002)
    return launcher.run(replace(request, **changes), timeout_s, folder.parent / "log")


def test_measures(launcher: Launcher, tmp_path: Path) -> None:
    begin = time.monotonic()
    outcome = run(launcher, tmp_path / "cell")
    fields = outcome.fields
    assert fields["status"] == "ok", fields
    assert begin < outcome.told_at < time.monotonic(), "told by a clock that nobody can set"
    assert fields["start"] == ("cold" if launcher.cold else "fork")
    assert len(fields["losses"]["reconstruction"]) == 3
    assert len(fields["windows"]) >= 5
    assert sum(window["seconds"] for window in fields["windows"]) >= 0.02
    assert list(fields["phases_s"])[:3] == ["import", "init", "compile"]
    assert fields["threads"]["affinity"] == sorted(os.sched_getaffinity(0)) and fields["threads"]["total"] >= 1
    assert fields["flags"]["FAKE_THREADS"] == "1"
    assert fields["memory_bytes"]["host_peak"] >= fields["memory_bytes"]["host_baseline"] > 0


def test_measures_with_input_from_the_host(launcher: Launcher, tmp_path: Path) -> None:
    outcome = run(launcher, tmp_path / "cell", cell=replace(CELL, input="host"))
    assert outcome.fields["status"] == "ok" and len(outcome.fields["windows"]) >= 5, outcome.fields


def test_traces(launcher: Launcher, tmp_path: Path) -> None:
    outcome = run(launcher, tmp_path / "cell", task="trace")
    assert outcome.ok and (tmp_path / "cell" / "state-0.npz").exists()


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("raise-build", "crashed", "RuntimeError in compile: the fault that was asked for"),
        ("raise-step", "crashed", "RuntimeError in compile: the fault that was asked for"),
        ("raise-init", "crashed", "RuntimeError in init: the fault that was asked for"),
        ("oom-step", "oom", "MemoryError in compile: cannot allocate 1 TiB"),
        ("exit-step", "crashed", "the cell ended with exit code 3 and wrote no record"),
        ("kill-step", "killed", "the cell was ended by SIGKILL"),
        ("nan", "nan", "loss reconstruction is nan at step 0"),
    ],
)
def test_failures_are_words(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, status: str, reason: str
) -> None:
    monkeypatch.setenv("FAKE_FAULT", fault)
    outcome = run(launcher, tmp_path / "cell")
    assert (outcome.fields["status"], outcome.fields["reason"]) == (status, reason)
    if fault.startswith("raise"):
        assert "the fault that was asked for" in outcome.fields["log_tail"]
    monkeypatch.delenv("FAKE_FAULT")
    for template in launcher.templates.values():  # they have the fault in their environment
        template.close()
    assert run(launcher, tmp_path / "next").ok


def test_timeout_ends_what_ignores_sigterm(launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "hang-step")
    outcome = run(launcher, tmp_path / "cell", timeout_s=1.5)
    assert (outcome.fields["status"], outcome.fields["reason"]) == ("timeout", "the cell took longer than 1.5 s")


def test_orphan_is_found(launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "orphan-build")
    monkeypatch.setenv("FAKE_PID_FILE", str(tmp_path / "pid"))
    assert run(launcher, tmp_path / "cell").ok
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_other_children_are_not_touched(launcher: Launcher, tmp_path: Path) -> None:
    bystander = psutil.Popen(["sleep", "60"])
    try:
        assert run(launcher, tmp_path / "cell").ok
        assert bystander.is_running() and bystander.status() != psutil.STATUS_ZOMBIE
    finally:
        bystander.kill()
        bystander.wait()


def test_import_that_fails_is_a_status(launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-import")
    outcome = run(launcher, tmp_path / "cell")
    assert outcome.fields["status"] == "crashed"
    assert "the fault that was asked for" in outcome.fields["log_tail"]


def test_cells_end_when_the_runner_does(tmp_path: Path) -> None:
    """The runner is killed outright while a cell hangs: template and cell end by themselves."""
    marks = {"FAKE_FAULT": "hang-step", "PYTHONPATH": str(Path.cwd()), "SAMESTEP_TEST_MARK": str(tmp_path)}
    code = (
        "from pathlib import Path; from tests.process import test_launch as t; import sys\n"
        "with t.Launcher(t.MANIFESTS, cold=False) as launcher: t.run(launcher, Path(sys.argv[1]) / 'cell', 60.0)"
    )
    import subprocess
    import sys

    runner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env={**os.environ, **marks})

    def descendants() -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SAMESTEP_TEST_MARK") == str(tmp_path) and process.pid != runner.pid:
                    found.append(process)
            except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found

    wait_until(lambda: len(descendants()) >= 2)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    wait_until(lambda: not descendants())


def wait_until(condition: object, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_memory_is_what_the_framework_took(launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A framework that keeps 100 MB, takes 200 more while it builds and 50 more in each step, and counts it."""
    monkeypatch.setenv("FAKE_ALLOCATE", str(100 * 10**6))
    outcome = run(launcher, tmp_path / "cell")
    found = outcome.fields["memory_bytes"]
    assert (found["device_peak"], found["device_steady"]) == ([300 * 10**6], [150 * 10**6])
    for host, device in (("host_peak", "device_peak"), ("host_steady", "device_steady")):
        assert found[host] - found["host_baseline"] == pytest.approx(found[device][0], rel=0.15), host
