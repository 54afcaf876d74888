"""PyTorch on several devices: what the exchange is, and how a cell ends however one of its ranks does."""

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.launch import Launcher, Outcome
from bench.spec import Cell
from tests.mutations import __main__ as mutations
from tests.mutations.mistakes import Edit
from tests.parity.devices import cell_of, difference, measurement, sockets
from tests.parity.test_precision_torch import trials

pytestmark = pytest.mark.long

WRAP = "    return DistributedDataParallel(loss,"
SMALL_BUCKETS = Edit(  # so that a network of `tiny` has several, as those of `base` have
    file="exchange.py",
    old=WRAP,
    new=f"""    dist._DEFAULT_FIRST_BUCKET_BYTES = 16384
    torch._logging.set_logs(modules={{"torch._dynamo.backends.distributed": 20}})
{WRAP} bucket_cap_mb=0.1,""",
)
RAISE = Edit(
    file="autoencoder.py",
    old="    state.update.step()\n",
    new="    state.update.step()\n    backend.exchange.dist.get_rank() == 1 and fail()\n",
)
ROUND = Edit(
    file="probe.py",
    old="kind = getattr(torch, stored(request.cell.precision))",
    new="kind = torch.bfloat16",
)


def several(workload: str, devices: int, **others: Any) -> Cell:
    return cell_of("torch", workload, devices, devices, **others)


def test_programs_that_are_split_at_buckets_are_exact(place: mutations.Laboratory) -> None:
    """As `base` is compiled: two networks, each in parts, D's run twice and frozen in the other's program."""
    mutant = place.plant("torch", "small-buckets", [SMALL_BUCKETS])
    found = difference(place.launcher, several("gan", 2, variant="compile"), instead=mutant)
    assert found.largest < 1e-11, found
    log = (place.launcher.scratch / "log").read_text()
    parts = dict(re.findall(r"rank0.* \[(0/\d)\] DDPOptimizer .* created (\d+) buckets", log))  # by program
    assert len(parts) == 2 and all(int(count) > 1 for count in parts.values()), parts


@pytest.mark.parametrize(("workload", "precision"), [("gan", "fp32"), ("lm", "bf16")])
def test_measures(place: mutations.Laboratory, tmp_path: Path, workload: str, precision: str) -> None:
    cell = several(workload, 2, precision=precision)
    found = place.launcher.run(measurement(cell, tmp_path / "cell"), 60.0, tmp_path / "log").fields
    assert found["status"] == "ok", found
    assert [rank["rank"] for rank in found["ranks"]] == [0, 1]
    assert len(found["windows"]) == 2 and found["threads"]["intra"] == 1
    assert found["optimisations"]["gradient_exchange"].startswith("DistributedDataParallel over gloo")
    told = found["communication"]
    assert told["gradient_bytes"] == told["all_reduce"][-1]["bytes"]
    assert all(one["seconds"] > 0 for one in told["all_reduce"])
    assert [len(window["rank_s"]) for window in told["without_exchange"]] == [2, 2]


def outside() -> str | None:
    """Name of an interface that leads out of the machine, and has an address to bind to; None if there is none."""
    names = {
        name: [one for one in found if one.family == socket.AF_INET and not one.address.startswith("127.")]
        for name, found in psutil.net_if_addrs().items()
        if psutil.net_if_stats()[name].isup
    }
    return next((name for name, found in names.items() if found), None)


@pytest.mark.parametrize("astray", [False, True])
def test_ranks_hear_this_machine_alone(
    place: mutations.Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, astray: bool
) -> None:
    """Whatever the environment says. That it would be seen is shown by ranks which are led astray."""
    if (name := outside()) is None:
        assert not astray or pytest.skip("no interface leads out of this machine")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", name or "lo")
    for template in place.launcher.templates.values():  # they have the old environment
        template.close()
    line = '    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)\n'
    edit = Edit(file="exchange.py", old=line, new=f'    os.environ["GLOO_SOCKET_IFNAME"] = "{name}"\n')
    mutant = place.plant("torch", "astray", [edit]) if astray else None
    outcome, seen = sockets(place.launcher, several("autoencoder", 2, precision="fp32"), tmp_path / "cell", mutant)
    assert outcome.ok, outcome
    assert {status for status, _ in seen} >= {psutil.CONN_LISTEN, psutil.CONN_ESTABLISHED}
    assert ({address for _, address in seen} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}) != astray, seen


def test_a_precision_that_one_rank_finds_wrong_ends_all(place: mutations.Laboratory, tmp_path: Path) -> None:
    """Only the first looks; the others do not wait for it to measure what the exchange costs."""
    mutant = place.plant("torch", "rounding", [ROUND])
    request = measurement(several("autoencoder", 2, precision="fp32"), tmp_path / "cell")
    found = place.launcher.run(request, 60.0, tmp_path / "log", mutant).fields
    assert found["status"] == "invalid" and "fp32 was asked for" in found["reason"], found
    assert not (tmp_path / "log").read_text().count("Traceback")


def interrupted(launcher: Launcher, folder: Path, what: signal.Signals, timeout_s: float) -> tuple[Outcome, list[int]]:
    """A cell that would run for long, one rank of which gets a signal when its steps are under way; and its ranks."""
    request = measurement(several("autoencoder", 2, precision="fp32"), folder, window_steps=100, min_windows=100_000)
    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(launcher.run, request, timeout_s, folder.parent / "log")
        deadline = time.monotonic() + 30.0
        while len(launcher.running) < 2 or not all(joined(pid) for pid in launcher.running):
            assert not running.done() and time.monotonic() < deadline, running
            time.sleep(0.02)
        ranks = sorted(launcher.running)
        time.sleep(0.5)
        os.kill(ranks[1], what)
        return running.result(), ranks


def joined(pid: int) -> bool:
    """Whether a rank hears another."""
    return any(one.status == psutil.CONN_ESTABLISHED for one in psutil.Process(pid).net_connections())


def test_a_rank_that_is_killed_ends_the_cell(place: mutations.Laboratory, tmp_path: Path) -> None:
    outcome, ranks = interrupted(place.launcher, tmp_path / "cell", signal.SIGKILL, 60.0)
    assert (outcome.fields["status"], outcome.fields["reason"]) == ("killed", "rank 1: the cell was ended by SIGKILL")
    assert not any(psutil.pid_exists(pid) for pid in ranks)


@pytest.mark.alone  # its ranks must have begun within the four seconds
def test_a_rank_that_hangs_ends_the_cell_at_the_timeout(place: mutations.Laboratory, tmp_path: Path) -> None:
    outcome, ranks = interrupted(place.launcher, tmp_path / "cell", signal.SIGSTOP, 4.0)
    assert outcome.fields["status"] == "timeout" and "longer than 4 s" in outcome.fields["reason"], outcome
    assert not any(psutil.pid_exists(pid) for pid in ranks)


@pytest.mark.parametrize("cold", [False, True])
def test_a_rank_that_raises_ends_the_cell(
    place: mutations.Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cold: bool
) -> None:
    """With its own reason, not with that of a rank which waited for it."""
    monkeypatch.setattr(place.launcher, "cold", cold)
    mutant = place.plant("torch", f"raising-{cold}", [RAISE])
    request = measurement(several("autoencoder", 3, precision="fp32"), tmp_path / "cell")
    found = place.launcher.run(request, 60.0, tmp_path / "log", mutant).fields
    assert (found["status"], found["reason"][:22]) == ("crashed", "rank 1: NameError in c"), found


@pytest.mark.parametrize("exchange", [True, False])
def test_each_network_is_exchanged_once(exchange: bool, tmp_path: Path) -> None:
    """A step of the GAN has two updates; a discriminator whose gradients came with the second would have a third."""
    trial = f"exchanges({exchange})"
    assert trials(trial, folder=tmp_path)[trial] == (2 if exchange else 0)


def test_devices_that_are_not_there_are_unavailable(place: mutations.Laboratory, tmp_path: Path) -> None:
    """Of CUDA and ROCm a build of PyTorch has one at most."""
    told: list[str] = []
    for platform in ("cuda", "rocm"):
        cell = several("autoencoder", 2, precision="fp32", platform=platform)
        found = place.launcher.run(measurement(cell, tmp_path / platform), 60.0, tmp_path / "log").fields
        if found["status"] == "unavailable":
            told.append(found["reason"])
    assert any("is built without" in reason for reason in told), told
