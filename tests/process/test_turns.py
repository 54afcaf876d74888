"""Real processes of the fake framework that take turns: every end has its word, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import record, run, store
from bench.machine import memory
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.settings import Settings

FAKES: dict[str, Manifest] = {name: read(name, "tests.fake") for name in ("a", "b")}
AUTOENCODER = Choice(workload=("autoencoder",), precision=("fp32",))
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))


def measured(folder: Path, choice: Choice = AUTOENCODER, **given: Any) -> tuple[int, list[record.Record]]:
    settings = Settings(repeats=1, min_time_s=0.01, out=folder, report=False, ceilings=False, proof=False)
    code = run.run(choice, replace(settings, **given), FAKES)
    return code, store.load(folder).records


def test_windows_of_live_cells_alternate(tmp_path: Path) -> None:
    code, records = measured(tmp_path / "run", min_time_s=2.0)
    assert code == 0 and len(records) == 2
    for one in records:
        assert one["visits"] == len(one["windows"]) >= 5
        assert len({window["steps"] for window in one["windows"]}) == 1
        gaps = sorted(window["idle_s"] for window in one["windows"])
        assert gaps[len(gaps) // 2] > 0.1, "another cell's window lies between, but where the turns of two meet"
        used = sum(window["idle_cpu_s"] for window in one["windows"])
        assert used < 0.02 * sum(window["idle_s"] for window in one["windows"]), "it is still between its visits"


def test_the_first_round_alone_has_latency_and_probes(tmp_path: Path) -> None:
    _, records = measured(tmp_path / "run", repeats=2)
    for one in records:
        first = one["repeat"] == 0
        assert (one["latency_s"] is not None) is first and (one["effective_precision"] is not None) is first
        assert first or one["absent"]["latency_s"] == "measured in the first round"


def test_the_file_has_one_line_a_process_in_the_end(tmp_path: Path) -> None:
    measured(tmp_path / "run", repeats=2)
    lines = [json.loads(line) for line in (tmp_path / "run" / store.RECORDS_FILE).read_text().splitlines()]
    assert Counter((one["cell_id"], one["repeat"]) for one in lines).most_common(1)[0][1] == 1


@pytest.mark.parametrize(
    ("fault", "status"), [("raise-steady", "crashed"), ("kill-steady", "killed"), ("raise-build", "crashed")]
)
def test_a_live_cell_that_fails_has_its_word(
    fault: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAULT", fault)
    code, records = measured(tmp_path / "run")
    assert code == 1 and [one["status"] for one in records] == [status] * 2
    assert all(one["windows"] is None for one in records)


def test_a_live_cell_that_hangs_is_ended_at_its_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "hang-steady")
    code, records = measured(tmp_path / "run", timeout_s=2.0)
    assert code == 1 and [one["reason"] for one in records] == ["the cell took longer than 2 s"] * 2


def test_time_that_others_take_does_not_count_towards_the_timeout(tmp_path: Path) -> None:
    """Four cells that are alive together for longer than each of them may take."""
    begun_s = time.monotonic()
    code, records = measured(tmp_path / "run", min_time_s=2.0, timeout_s=10.0, a_a=True)
    assert code == 0 and [one["status"] for one in records] == ["ok"] * 4
    assert time.monotonic() - begun_s > 10.0


def test_several_devices_take_no_turns(tmp_path: Path) -> None:
    _, records = measured(tmp_path / "run", replace(AUTOENCODER, devices=2, device_counts=(2,)))
    for one in (one for one in records if one["cell"]["devices"] == 2):
        assert one["visits"] is None and "takes no turns" in one["absent"]["visits"]
        assert one["windows"][0]["idle_s"] is None and "takes no turns" in one["absent"]["windows.idle_s"]


def test_where_memory_is_short_one_after_another_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1)
    _, records = measured(tmp_path / "run")
    order = [name for name, _ in groupby(one["cell"]["impl"] for one in records)]
    assert len(order) == 2 and {one["status"] for one in records} == {"ok"}


RUNNER = """
import signal, sys
from pathlib import Path
from bench import cli, run
from bench.manifests import read
from bench.plan import Choice
signal.signal(signal.SIGINT, signal.default_int_handler)
fakes = {name: read(name, "tests.fake") for name in ("a", "b")}
settings = run.Settings(repeats=2, min_time_s=float(sys.argv[2]), out=Path(sys.argv[1]), report=False, ceilings=False)
choice = Choice(workload=("autoencoder",), precision=("fp32",))
sys.exit(cli.guard(lambda: run.run(choice, settings, fakes)))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_live_cells_have_measured_outlives_the_runner(number: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    own = {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path), "SAMESTEP_CACHE": str(tmp_path / "c")}
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(folder), "30"], env={**os.environ, **own}, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not enough(folder):
        assert runner.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    cells = psutil.Process(runner.pid).children(recursive=True)
    runner.send_signal(number)
    runner.communicate(timeout=60)
    _, alive = psutil.wait_procs(cells, timeout=10)
    assert not alive
    partly = store.load(folder).records
    assert len(partly) == 2
    for one in partly:
        assert one["status"] == "ok" and one["parity"]["verdict"] == "unchecked"
        assert 4 <= len(one["windows"]) < one["visits"] and not record.is_whole(one)
        assert one["absent"]["memory_bytes"] == "the process had not ended when this was written"


def enough(folder: Path) -> bool:
    """Whether each of two cells has four windows on the disk."""
    path = folder / store.RECORDS_FILE
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return len({one["cell_id"] for one in lines if len(one["windows"]) >= 4}) == 2


def test_a_run_that_ended_in_the_middle_of_a_round_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    measured(folder, min_time_s=0.5)
    path = folder / store.RECORDS_FILE
    one, other = (json.loads(line) for line in path.read_text().splitlines())
    other["windows"] = other["windows"][:2]
    path.write_text("".join(json.dumps(of) + "\n" for of in (one, other)))
    assert run.resume(folder, FAKES, report=False, ceilings=False) == 0
    again = {of["cell"]["impl"]: of for of in store.load(folder).records}
    assert again[one["cell"]["impl"]]["windows"] == one["windows"], "what was whole is kept"
    assert record.is_whole(again[other["cell"]["impl"]])
    assert {of["parity"]["verdict"] for of in again.values()} == {"proven"}
