"""Energy and price through `bench run`: the fake framework, a planted counter behind the real sampler."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import metering, metrics, processes, record, run, store
from bench.launch import Launcher
from bench.machine import energy
from bench.machine.energy import LEAST_S
from bench.metering import NO_LIBRARY, NO_RAPL
from bench.record import Record
from bench.settings import Settings
from bench.spec import Cell
from tests.process.test_run import AUTOENCODER, FAKES

PLANTED = Path(__file__).parents[1] / "planted"
WATTS = {"package-0": 60.0, "psys": 500.0, "package-1": 30.0}
Measure = Callable[..., list[Record]]


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Run the fake framework once beside planted counters; nothing is left running after it."""
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PLANTED_RAPL", str(tmp_path / "rapl"))
    monkeypatch.setenv("PYTHONPATH", str(PLANTED))
    monkeypatch.syspath_prepend(PLANTED)
    for module in [name for name in sys.modules if name.split(".")[0] == "zeus"]:  # of a test of the real one
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(metering, "RAPL", (tmp_path / "rapl",))
    for place, name in enumerate(WATTS):
        (tmp_path / "rapl" / f"intel-rapl:{place}").mkdir(parents=True)
        (tmp_path / "rapl" / f"intel-rapl:{place}" / "name").write_text(f"{name}\n")

    def once(planted: str = "{}", impl: str = "a", **settings: float) -> list[Record]:
        before = processes.children()
        watts = {"watts": list(WATTS.values()), "tick_s": 0.01}
        monkeypatch.setenv("PLANTED_ZEUS", json.dumps(watts | json.loads(planted)))
        given = {"repeats": 1, "min_time_s": 0.01, "out": tmp_path / "run", "report": False} | settings
        run.run(AUTOENCODER, Settings(**given), {impl: FAKES[impl]})
        assert processes.children() <= before
        return store.load(tmp_path / "run").records

    return once


def test_windows_take_what_the_packages_took(measure: Measure) -> None:
    (found,) = measure()
    seconds = sum(window["seconds"] for window in found["windows"])
    assert seconds >= 2.0, "longer than --min-time asks for, as a counter needs it"
    assert found["energy_j"]["total"] == pytest.approx(90.0 * seconds, rel=0.1)
    assert found["energy_j"]["idle_w"] == pytest.approx(90.0, rel=0.2)
    assert "RAPL's counters of 2 whole packages" in found["energy_j"]["source"]
    items = found["items_per_step"] * sum(window["steps"] for window in found["windows"])
    value = next(row.value for row in metrics.METRICS if row.name == "joules_per_item")
    assert value(found) == found["energy_j"]["total"] / items
    assert not [name for name in found["absent"] if name.startswith("energy")]
    assert "zeus" not in sys.modules, "what imports it is the sampler alone"


def test_a_counter_that_dies_leaves_a_reason_and_the_rest_of_the_record(measure: Measure) -> None:
    (found,) = measure('{"stops_s": 2.5}')  # while it warms up or is timed, after idle power was taken
    assert found["status"] == "ok" and found["windows"]
    assert found["energy_j"] is None
    assert "GPU is lost" in found["absent"]["energy_j"]


def test_without_a_counter_a_cell_takes_no_longer_and_says_why(measure: Measure) -> None:
    (found,) = measure('{"error": "RAPL unavailable"}')
    assert found["energy_j"] is None
    assert found["absent"]["energy_j"] == "no counter of energy: RAPL unavailable"
    assert sum(window["seconds"] for window in found["windows"]) < 2.0


def test_a_machine_without_rapl_is_not_asked(measure: Measure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(metering, "RAPL", (tmp_path / "nowhere",))
    monkeypatch.setattr(Launcher, "start_sampler", None)
    (found,) = measure()
    assert found["absent"]["energy_j"] == NO_RAPL


def test_a_cell_that_failed_has_that_as_its_reason(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-steady")
    (found,) = measure()
    assert found["status"] == "crashed"
    assert found["absent"]["energy_j"] == "the cell is crashed"


def test_a_sampler_that_is_killed_takes_nothing_with_it(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = metering.begin

    def cut_off(*given: object) -> metering.Meter:
        meter = begin(*given)  # pyright: ignore[reportArgumentType]
        assert meter.process
        meter.process.kill()
        meter.process.wait()
        return meter

    monkeypatch.setattr(metering, "begin", cut_off)
    (found,) = measure()
    assert found["status"] == "ok"
    assert found["absent"]["energy_j"] == "the process that reads the counters of energy has ended"


def test_where_the_library_is_missing_the_reason_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import util

    find_spec = util.find_spec
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "zeus" else find_spec(name))
    settings = Settings(repeats=1, min_time_s=0.01, out=tmp_path / "run", report=False)
    assert run.run(AUTOENCODER, settings, {"a": FAKES["a"]}) == 0
    (found,) = store.load(tmp_path / "run").records
    assert found["absent"]["energy_j"] == NO_LIBRARY == "zeus is not installed: pip install 'samestep[energy]'"


def test_the_price_is_kept_by_a_run_that_goes_on_unless_it_is_given_anew(measure: Measure, tmp_path: Path) -> None:
    none = '{"error": "no counter"}'
    (first,) = measure(none, price_per_hour=2.5)
    assert first["price_per_hour"] == 2.5 and "price_per_hour" not in first["absent"]
    assert store.load(tmp_path / "run").meta["price_per_hour"] == 2.5
    lines = (tmp_path / "run" / store.RECORDS_FILE).read_text()
    for given, expected in (({}, 2.5), ({"price_per_hour": 4.0}, 4.0)):
        (tmp_path / "run" / store.RECORDS_FILE).write_text("")
        assert run.resume(tmp_path / "run", {"a": FAKES["a"]}, report=False, **given) == 0
        (again,) = store.load(tmp_path / "run").records
        assert again["price_per_hour"] == expected
        assert store.load(tmp_path / "run").meta["price_per_hour"] == expected
        assert not store.load(tmp_path / "run").meta["resumed"][-1]["forced"]
    assert record.decode(lines)["price_per_hour"] == 2.5


def test_a_run_that_is_killed_leaves_no_sampler(measure: Measure, tmp_path: Path) -> None:
    """In another process, while it takes idle power; `measure` has planted the counters."""
    program = (
        "import sys; from pathlib import Path\n"
        "from bench import metering; from tests.process import test_energy as it\n"
        "metering.RAPL = (Path(sys.argv[1]),)\n"
        "it.run.run(it.AUTOENCODER, it.Settings(out=Path(sys.argv[2]), report=False), {'a': it.FAKES['a']})"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(PLANTED)])
    told = os.environ | {"PYTHONPATH": path, "TMPDIR": str(tmp_path), "PLANTED_ZEUS": '{"watts": [60, 500, 30]}'}
    runner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "rapl"), str(tmp_path / "run")], env=told, stderr=subprocess.PIPE
    )
    sampler = awaited(lambda: sampler_below(runner.pid))
    os.kill(runner.pid, signal.SIGKILL)
    assert awaited(lambda: not sampler.is_running() or sampler.status() == psutil.STATUS_ZOMBIE)
    runner.communicate()


def sampler_below(pid: int) -> psutil.Process | None:
    for one in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "bench.sampler" in one.cmdline():
                return one
    return None


def awaited(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if told := found():
            return told
        time.sleep(0.02)
    raise AssertionError("it did not come to pass")


def test_real_zeus_over_planted_zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library itself, with its process that looks for the counter's end, where the zones are files that we write.

    40 W go into the package. Its memory is a zone in it and `psys` one beside it; neither counts.
    """
    pytest.importorskip("zeus.device")
    for zone, name in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0/intel-rapl:0:0", "dram"),
        ("intel-rapl:1", "psys"),
    ):
        (tmp_path / zone).mkdir()
        for file, content in (("name", name), ("energy_uj", "1000"), ("max_energy_range_uj", "262143328850")):
            (tmp_path / zone / file).write_text(f"{content}\n")
    program = "import sys; from zeus.device.cpu import rapl; from bench import sampler\n"
    program += "rapl.RAPL_DIR = sys.argv[1]; sampler.main('cpu')"
    words, pipe = [sys.executable, "-c", program, str(tmp_path)], subprocess.PIPE
    monkeypatch.setattr(metering, "RAPL", (tmp_path,))
    cell = Cell(**dict.fromkeys(Cell.__dataclass_fields__, 1) | {"platform": "cpu"})  # pyright: ignore[reportArgumentType]
    with fed(tmp_path / "intel-rapl:0" / "energy_uj", watts=40.0):
        root = Path(__file__).parents[2]
        with metering.started(lambda _: subprocess.Popen(words, stdin=pipe, stdout=pipe, cwd=root), [cell]) as meter:
            begin = time.perf_counter()
            time.sleep(LEAST_S)
            span = begin, time.perf_counter()
            found = energy.spent(meter.readings(begin), [span], [0])
            assert meter.process
            started = psutil.Process(meter.process.pid).children(recursive=True)
    assert found == pytest.approx(40.0 * (span[1] - span[0]), rel=0.1)
    assert energy.spent(meter.idle, [meter.idle_span], [0]) == pytest.approx(40.0 * metering.IDLE_S, rel=0.2)
    assert started and not any(one.is_running() for one in started)


@contextlib.contextmanager
def fed(counter: Path, watts: float) -> Iterator[None]:
    """A counter that is written anew each millisecond."""
    stop, begin = threading.Event(), time.perf_counter()

    def write() -> None:
        while not stop.wait(0.001):
            whole = counter.with_name("next")
            whole.write_text(f"{int(1e6 * watts * (time.perf_counter() - begin))}\n")
            whole.rename(counter)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
