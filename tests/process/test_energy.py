"""Energy and price through `bench run`: the fake framework, a planted counter behind the real sampler."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import metering, metrics, processes, record, run, store
from bench.launch import Launcher
from bench.metering import NO_LIBRARY, NO_RAPL
from bench.record import Record
from bench.run import Settings
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
