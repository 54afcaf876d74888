"""What happens to a template costs a cell nothing: another one forks it. What never imports is a word."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bench import plan
from bench.launch import Launcher, Outcome
from bench.manifests import read
from bench.plan import Choice
from bench.spec import Request
from tests.faults.place import Place, agrees, templates_of, wait_until

KEPT = "all cells ok, of a new template"


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_templates_are_struck_while_cells_run(place: Place, tried: Callable[..., None], number: signal.Signals) -> None:
    runner = place.start(repeats=6, fork_timeout_s=2.0, window_s=0.1)
    place.wait_for_records(3, runner)
    struck = templates_of(place)
    assert len(struck) == 2
    for pid in struck:
        psutil.Process(pid).send_signal(number)
    code, said = place.finish(runner)
    records = place.records()
    assert (code, len(records)) == (0, 12), said[-5:]
    assert {one["status"] for one in records} == {"ok"}
    place.nothing_left()
    tried(f"{number.name} of templates while a cell runs, and before the next fork", KEPT)


@pytest.mark.long
def test_a_slow_import_is_tried_once(place: Place, tried: Callable[..., None]) -> None:
    """Each of a thousand cells would else wait as long as the first."""
    copies = {"a": {}, "b": {"FAKE_FAULT": "slow-import"}}
    code, _ = place.go(copies=copies, repeats=3, import_timeout_s=3.0)
    assert code == 1
    for found in place.records():
        if found["cell"]["impl"] == "a":
            assert found["status"] == "ok"
        else:
            agrees(found, "timeout", "^importing numpy took longer than 3 s$")
    seconds = sorted(one["seconds"] for one in place.cells() if one["impl"] == "b")
    assert seconds[1] < 2.0 and seconds[2] < 20.0
    place.nothing_left()
    tried("a framework takes longer to import than it may", "timeout, and it is not tried again")


def test_stopping_does_not_wait_for_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: Callable[..., None]
) -> None:
    """As `bench verify` is interrupted, whose threads start the cells."""
    monkeypatch.setenv("FAKE_FAULT", "slow-import")
    fakes = {"fake": read("fake", "tests.fake")}
    (cell,) = plan.plan_cells(Choice(workload=("autoencoder",), precision=("fp32",)), fakes)
    request = Request(cell=cell, task="trace", folder=str(tmp_path / "cell"))
    found: list[Outcome] = []
    with Launcher(fakes, cold=False) as launcher:
        work = threading.Thread(target=lambda: found.append(launcher.run(request, 60.0, tmp_path / "log")))
        work.start()
        wait_until(lambda: launcher.templates)
        begin = time.monotonic()
        launcher.stop()
        work.join()
        assert time.monotonic() - begin < 20.0  # an import would take 60
    assert found[0].fields["status"] == "crashed" and not found[0].ok
    tried("bench verify is interrupted while a framework is imported", "ends at once")
