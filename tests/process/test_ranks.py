"""Cells of several real processes, of the fake framework: they agree, and when one fails all end."""

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench import exchange, waits
from bench.launch import Launcher, Outcome
from bench.spec import Request
from tests.process.test_launch import CELL, wait_until

COUNT = 3
SPREAD = replace(CELL, devices=COUNT, batch_per_device=16, norm_groups=COUNT, scaling="strong", engine="distributed")


def run(launcher: Launcher, folder: Path, timeout_s: float = 20.0, **changes: object) -> Outcome:
    request = Request(
        cell=SPREAD, task="measure", folder=str(folder), steps=3, min_windows=2, window_steps=5, latency_steps=2
    )
    return launcher.run(replace(request, **changes), timeout_s, folder.parent / "log")


def test_ranks_take_the_same_windows_and_their_own_samples(launcher: Launcher, tmp_path: Path) -> None:
    fields = run(launcher, tmp_path / "cell").fields
    assert fields["status"] == "ok", fields
    assert [rank["rank"] for rank in fields["ranks"]] == [0, 1, 2]
    assert [rank["device"] for rank in fields["ranks"]] == ["fake:0", "fake:1", "fake:2"]
    assert [window["steps"] for window in fields["windows"]] == [5, 5]
    for place, window in enumerate(fields["windows"]):
        assert window["seconds"] == max(rank["window_s"][place] for rank in fields["ranks"])
    requests = [json.loads(path.read_text()) for path in sorted((tmp_path / "cell").glob("rank-*/request.json"))]
    shares = [Request.from_json(json.dumps(one)).samples for one in requests]
    assert shares == [(0, 16), (16, 32), (32, 48)]


def test_a_loss_is_the_mean_over_the_whole_batch(launcher: Launcher, tmp_path: Path) -> None:
    """The fake loss is linear in the images' mean, so shares and the whole must agree."""
    whole = run(launcher, tmp_path / "one", cell=SPREAD.on_one_device()).fields["losses"]["reconstruction"]
    shared = run(launcher, tmp_path / "three").fields["losses"]["reconstruction"]
    assert shared == pytest.approx(whole, rel=1e-6)


def test_what_the_exchange_costs_is_measured_in_the_first_repeat(launcher: Launcher, tmp_path: Path) -> None:
    found = run(launcher, tmp_path / "cell").fields["communication"]
    assert [one["bytes"] for one in found["all_reduce"]] == [*exchange.SIZES, found["gradient_bytes"]]
    assert [len(window["rank_s"]) for window in found["without_exchange"]] == [COUNT] * 2
    assert "communication" not in run(launcher, tmp_path / "again", repeat=1).fields


def test_every_device_has_its_state_in_a_trace(launcher: Launcher, tmp_path: Path) -> None:
    assert run(launcher, tmp_path / "cell", task="trace").ok
    assert [path.name for path in sorted((tmp_path / "cell").rglob("*.npz"))] == [f"state-{n}.npz" for n in range(3)]


def test_memory_is_that_of_all_processes_and_shared_pages_count_once(launcher: Launcher, tmp_path: Path) -> None:
    one = run(launcher, tmp_path / "one", cell=SPREAD.on_one_device()).fields["memory_bytes"]
    three = run(launcher, tmp_path / "three").fields["memory_bytes"]
    if not launcher.cold:  # pages of the template are shared by all; what fills the caches is each process's own
        own = waits.CACHES_BYTES
        assert three["host_baseline"] - 3 * own < 1.5 * (one["host_baseline"] - own)
    assert three["host_peak"] - three["host_baseline"] > 0


def strike(launcher: Launcher, tmp_path: Path, how: Callable[[psutil.Process], None], timeout_s: float) -> Outcome:
    """The outcome of a cell whose second process is hit while it steps for a long time."""
    found: list[Outcome] = []
    work = threading.Thread(
        target=lambda: found.append(run(launcher, tmp_path / "cell", timeout_s, window_steps=10**9)), daemon=True
    )
    work.start()
    wait_until(lambda: (tmp_path / "cell" / "rendezvous.d").is_dir() and len(launcher.running) == COUNT)
    how(psutil.Process(sorted(launcher.running)[1]))
    work.join(timeout_s + 10)
    return found[0]


def test_one_that_is_killed_ends_all(launcher: Launcher, tmp_path: Path) -> None:
    outcome = strike(launcher, tmp_path, lambda process: process.send_signal(signal.SIGKILL), 30.0)
    assert outcome.fields["status"] == "killed" and "ended by SIGKILL" in outcome.fields["reason"]
    assert outcome.fields["reason"].startswith("rank ")


def test_one_that_hangs_ends_all_at_the_timeout(launcher: Launcher, tmp_path: Path) -> None:
    outcome = strike(launcher, tmp_path, lambda process: process.suspend(), 3.0)
    assert outcome.fields["status"] == "timeout", outcome.fields
    assert "the cell took longer than 3 s" in outcome.fields["reason"]


def test_one_that_is_out_of_memory_ends_all_and_the_next_cell_runs(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as fault:
        fault.setenv("FAKE_FAULT", "oom-step")
        fault.setenv("FAKE_RANK", "1")
        found = run(launcher, tmp_path / "cell").fields
        for template in launcher.templates.values():  # has the fault in its environment
            template.process.kill()
            template.process.wait()
    assert found["status"] == "oom" and found["reason"].startswith("rank 1: MemoryError"), found
    assert not launcher.running
    assert run(launcher, tmp_path / "next").ok


def test_one_that_fails_before_the_others_meet_it(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-build")
    monkeypatch.setenv("FAKE_RANK", "2")
    outcome = run(launcher, tmp_path / "cell")
    assert outcome.fields["reason"] == "rank 2: RuntimeError in compile: the fault that was asked for"
    assert os.getpid() not in launcher.processes()
