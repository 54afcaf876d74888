"""Whatever happens to the runner: what was measured is kept, nothing is left behind, and the run can go on."""

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bench.record import Record
from tests.faults.place import Place, marked, refused, templates_of, wait_until

INTERRUPTED = "bench: interrupted; what was measured is kept"
REPEATS = 20
UPTIME_S = (0.05, 3.0)  # of a runner that is killed: from before it has a folder to the middle of its cells
DAY_S = 86400


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_a_cell_runs(
    place: Place, tried: Callable[..., None], number: signal.Signals, times: int
) -> None:
    runner = place.start(repeats=500)
    place.wait_for_records(3, runner)
    for _ in range(times):
        runner.send_signal(number)
    code, said = place.finish(runner)
    assert (code, said[-1]) == (130, INTERRUPTED)
    assert len(place.records()) >= 3
    place.nothing_left()
    tried(f"{number.name} to the runner, {'once' if times == 1 else 'twice'}", "exit 130, all records kept")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_interrupted_again_while_it_ends_a_cell(
    place: Place, tried: Callable[..., None], number: signal.Signals
) -> None:
    """The cell ignores SIGTERM, so the runner waits before it kills it; told again it ends, and the guard does that."""
    runner = place.start(copies={"a": {"FAKE_FAULT": "daemons-step"}}, timeout_s=300)
    wait_until(place.hanging_file.exists)
    for _ in range(2):
        runner.send_signal(number)
        time.sleep(0.7)
    code, said = place.finish(runner)
    assert (code, said[-1]) == (130, INTERRUPTED)
    place.nothing_left()
    tried(f"{number.name} to the runner, again while it ends a cell that ignores it", "exit 130, all records kept")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_interrupted_while_it_judges(place: Place, tried: Callable[..., None], number: signal.Signals) -> None:
    """All is measured; a trace for the verdicts hangs, and ignores SIGTERM."""
    runner = place.start(copies={"a": {"FAKE_FAULT": "hang-state"}, "b": {}}, proofs=True, timeout_s=300)
    wait_until(place.hanging_file.exists)
    before = place.measured()
    runner.send_signal(number)
    code, said = place.finish(runner)
    assert (code, said[-1]) == (130, INTERRUPTED)
    assert len(before) == 4 and place.measured() == before
    assert {one["parity"]["verdict"] for one in place.records()} == {"unchecked"}
    place.nothing_left()
    assert_complete(place, place.go(resume=True, proofs=True), before, repeats=2)
    assert place.measured() == before
    place.nothing_left()
    tried(f"{number.name} to the runner while it judges, then --resume", "exit 130, all records kept and judged")


def test_killed_with_a_daemon_and_stopped_processes(place: Place, tried: Callable[..., None]) -> None:
    runner = place.start(copies={"a": {"FAKE_FAULT": "daemons-step"}}, timeout_s=300)
    wait_until(place.hanging_file.exists)
    for pid in templates_of(place):
        psutil.Process(pid).suspend()
    place.kill(runner)
    place.nothing_left()
    tried("SIGKILL of the runner, its template stopped, a daemon that ignores SIGTERM left", "nothing left")


def test_killed_with_its_guard(place: Place, tried: Callable[..., None]) -> None:
    """As where a whole container is: the next runner removes the folder of the dead one."""
    runner = place.start(repeats=500)
    place.wait_for_records(1, runner)
    for process in psutil.Process(runner.pid).children():
        if "bench.guard" in process.cmdline():
            process.kill()
    place.kill(runner)
    wait_until(lambda: not marked(str(place.root)))
    (dead,) = place.scratch.iterdir()
    other = place.start(resume=True)
    wait_until(lambda: not dead.exists())
    other.send_signal(signal.SIGTERM)
    assert place.finish(other)[0] == 130
    place.nothing_left()
    tried("SIGKILL of the runner and its guard", "the next run removes what is left")


@pytest.mark.long
def test_the_terminal_is_closed(place: Place, tried: Callable[..., None]) -> None:
    runner = place.start(repeats=500)
    place.wait_for_records(3, runner)
    runner.send_signal(signal.SIGHUP)
    assert place.finish(runner)[0] == -signal.SIGHUP
    assert len(place.records()) >= 3
    place.nothing_left()
    tried("SIGHUP to the runner, as where a terminal is closed", "all records kept, nothing left")


def test_killed_at_random_moments(place: Place, tried: Callable[..., None]) -> None:
    kill_and_resume(place, random.Random(0), 3)
    tried("SIGKILL of the runner at a random moment, then --resume", "every record kept, the set complete", 3)


@pytest.mark.long
def test_killed_at_random_moments_often(tmp_path: Path, tried: Callable[..., None]) -> None:
    def chain(seed: int) -> None:
        (tmp_path / str(seed)).mkdir()
        kill_and_resume(Place(root=tmp_path / str(seed)), random.Random(seed), 10)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(chain, range(1, 11)))
    tried("SIGKILL of the runner at a random moment, then --resume", "every record kept, the set complete", 100)


def kill_and_resume(place: Place, rng: random.Random, kills: int) -> None:
    """Kill one run again and again, then let it end."""
    kept: dict[tuple[str, int], Record] = {}
    while kills:
        begun = (place.run / "run.json").exists()
        if not begun:
            shutil.rmtree(place.run, ignore_errors=True)  # as it is told to, since there is no run in it
        runner = place.start(resume=begun, repeats=REPEATS, proofs=True)
        time.sleep(rng.uniform(*UPTIME_S))
        if runner.poll() is not None:  # on a fast machine it may come to its end
            assert_complete(place, place.finish(runner), kept)
            shutil.rmtree(place.run)
            kept = {}
            continue
        place.kill(runner)
        kills -= 1
        assert place.holds(kept)
        kept = place.measured()
        place.nothing_left()
    begun = (place.run / "run.json").exists()
    assert_complete(place, place.go(resume=begun, repeats=REPEATS, proofs=True), kept)
    place.nothing_left()


def assert_complete(
    place: Place, ended: tuple[int, list[str]], kept: dict[tuple[str, int], Record], repeats: int = REPEATS
) -> None:
    """The run ended well, and has the cells of one that nobody killed, those that it had before among them."""
    code, said = ended
    assert code == 0, said[-5:]
    assert place.holds(kept)
    records = [json.loads(line) for line in place.records_file.read_text().splitlines()]
    assert sorted((one["cell"]["impl"], one["repeat"]) for one in records) == [
        (impl, repeat) for impl in "ab" for repeat in range(repeats)
    ]
    assert {one["status"] for one in records} == {"ok"}
    assert {one["parity"]["verdict"] for one in records} == {"proven"}
    assert not list(place.run.glob("*.part"))


@pytest.mark.long
def test_a_second_runner_is_refused(place: Place, tried: Callable[..., None]) -> None:
    first = place.start(repeats=20)
    place.wait_for_records(1, first)
    refused(place.go(resume=True), "another runner")
    refused(place.go(repeats=20), "holds a run already")
    assert first.poll() is None
    assert place.finish(first)[0] == 0 and len(place.records()) == 40
    place.nothing_left()
    tried("a second runner on a run, resumed or begun anew", "refused, exit 2; the first goes on", 2)


@pytest.mark.long
def test_the_clock_is_set_back_a_day(place: Place, tried: Callable[..., None]) -> None:
    clock, library = place.root / "clock", place.root / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    clock.write_text("0")
    preload = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(clock)}
    runner = place.start(environment=preload, repeats=8, proofs=True, window_s=0.05)
    place.wait_for_records(4, runner)
    (place.root / "later").write_text(str(-DAY_S))
    (place.root / "later").replace(clock)
    code, said = place.finish(runner)
    assert code == 0, said[-5:]
    records = place.records()
    days = {one["started_at"][:10] for one in records}
    assert len(days) == 2, "the clock was not set"
    assert len(records) == 16 and {one["status"] for one in records} == {"ok"}
    assert all(0 < window["seconds"] < 60 for one in records for window in one["windows"])
    place.nothing_left()
    tried("the clock is set back a day", "all cells ok, their times as before")
