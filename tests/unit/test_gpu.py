"""GPUs, from a driver that is planted."""

import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from bench.machine import gpu
from bench.machine.gpu import Gpus
from bench.ranks import Outcome
from bench.runner import Runner


class NVMLError(Exception):
    pass


class Driver:
    """Two GPUs joined by three links; the second tells less than the first."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    nvmlClocksThrottleReasonNone = 0
    nvmlClocksThrottleReasonGpuIdle = 1
    nvmlClocksThrottleReasonSwPowerCap = 4
    nvmlClocksThrottleReasonHwSlowdown = 8
    nvmlClocksThrottleReasonAll = 13

    def __init__(self) -> None:
        self.running = {0: [(7, 300), (8, 50), (99, 11)], 1: [(7, 20), (98, None)]}

    def nvmlInit(self) -> None: ...
    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"580.1"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 13020

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, place: int) -> int:
        return place

    def nvmlDeviceGetName(self, place: int) -> str:
        return f"GPU {place}"

    def nvmlDeviceGetUUID(self, place: int) -> str:
        return f"GPU-secret-{place}"

    def nvmlDeviceGetMemoryInfo(self, place: int) -> Any:
        return SimpleNamespace(total=80 * 10**9)

    def nvmlDeviceGetPowerManagementLimit(self, place: int) -> int:
        if place:
            raise NVMLError("not supported")
        return 700_000

    def nvmlDeviceGetPowerUsage(self, place: int) -> int:
        return 123_000

    def nvmlDeviceGetMaxClockInfo(self, place: int, kind: int) -> int:
        return 1980 if kind == self.NVML_CLOCK_SM else 2619

    def nvmlDeviceGetClockInfo(self, place: int, kind: int) -> int:
        return 1755 if kind == self.NVML_CLOCK_SM else 2619

    def nvmlDeviceGetTemperature(self, place: int, sensor: int) -> int:
        return 41

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, place: int) -> int:
        return 13 if place == 0 else 1

    def nvmlDeviceGetComputeRunningProcesses(self, place: int) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.running[place]]

    def nvmlDeviceGetPciInfo(self, place: int) -> Any:
        return SimpleNamespace(busId=f"00:{place}")

    def nvmlDeviceGetNvLinkState(self, place: int, link: int) -> int:
        if link > 3:
            raise NVMLError("no such link")
        return int(link < 3)

    def nvmlDeviceGetNvLinkRemotePciInfo(self, place: int, link: int) -> Any:
        return SimpleNamespace(busId=f"00:{1 - place}")


def test_facts_in_base_units_without_serial_numbers() -> None:
    facts = Gpus(nvml=Driver()).facts()
    assert (facts["driver"], facts["cuda_driver"], facts["links"]) == ("580.1", "13.2", [[0, 3], [3, 0]])
    first, second = facts["devices"]
    assert first | {"id": ""} == {
        "name": "GPU 0", "id": "", "memory_bytes": 80 * 10**9, "power_limit_w": 700.0, "sm_max_hz": 1_980_000_000,
        "memory_max_hz": 2_619_000_000,
    }  # fmt: skip
    assert second["power_limit_w"] is None
    assert "secret" not in str(facts) and len(first["id"]) == 12 and first["id"] != second["id"]


def test_as_many_links_are_asked_for_as_the_library_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer library knows of 36: the last of them count too."""
    driver = Driver()
    monkeypatch.setattr(Driver, "NVML_NVLINK_MAX_LINKS", 36, raising=False)
    monkeypatch.setattr(Driver, "nvmlDeviceGetNvLinkState", lambda *_: 1)
    assert Gpus(nvml=driver).facts()["links"] == [[0, 36], [36, 0]]


def test_clocks_and_why_they_are_low() -> None:
    first, second = Gpus(nvml=Driver()).clocks()
    assert first == {
        "sm_hz": 1_755_000_000, "memory_hz": 2_619_000_000, "power_w": 123.0, "temperature_c": 41,
        "throttle": ["HwSlowdown", "SwPowerCap"],
    }  # fmt: skip
    assert second["throttle"] == []


def test_a_gpu_that_is_lost_is_left_out() -> None:
    """The driver refuses even its handle."""

    class Lost(Driver):
        def nvmlDeviceGetHandleByIndex(self, place: int) -> Any:
            if place == 0:
                raise self.NVMLError("GPU is lost")
            return super().nvmlDeviceGetHandleByIndex(place)

    gpus = Gpus(nvml=Lost())
    assert [device["name"] for device in gpus.facts()["devices"]] == [Gpus(nvml=Driver()).facts()["devices"][1]["name"]]
    assert len(gpus.clocks()) == len(gpus.processes()) == 1


def test_a_cell_is_watched_from_outside() -> None:
    """Its processes 7 and 8 use most in the middle; 99 and 98 are others', and are told by name alone."""
    driver = Driver()
    clock = iter(range(100, 10**9)).__next__
    with gpu.watched(lambda: {7, 8}, lambda pid: f"name {pid}", Gpus(nvml=driver), 0.001, clock) as watch:
        seen(watch, 1)
        driver.running[0] = [(7, 500), (8, 50)]
        seen(watch, len(watch.during) + 2)
        driver.running = {0: [(7, 1)], 1: []}
    assert watch.driver_peak == [550, 20]
    assert [one | {"at_s": 100} for one in watch.before] == watch.during[0]
    assert watch.before == watch.after
    assert [{one["at_s"] for one in look} for look in watch.during] == [{100 + n} for n in range(len(watch.during))]
    assert watch.foreign == [
        {"device": 0, "name": "name 99", "memory_bytes": 11},
        {"device": 1, "name": "name 98", "memory_bytes": None},
    ]


def seen(watch: gpu.Watch, count: int) -> None:
    deadline = time.monotonic() + 10
    while len(watch.during) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_process_ids_of_another_namespace_are_no_peak() -> None:
    with gpu.watched(lambda: {1}, str, Gpus(nvml=Driver()), 0.001) as watch:
        seen(watch, 1)
    assert watch.driver_peak is None and "namespace" in watch.why_no_peak


def test_what_fails_within_ends_the_watch() -> None:
    with pytest.raises(ZeroDivisionError), gpu.watched(set, str, Gpus(nvml=Driver()), 0.001) as watch:
        raise ZeroDivisionError
    assert len(watch.after) == 2


def test_no_driver_and_no_library_are_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent(Driver):
        def nvmlInit(self) -> None:
            raise NVMLError("Driver Not Loaded")

    monkeypatch.setitem(sys.modules, "pynvml", Absent())  # type: ignore[arg-type]
    assert gpu.fingerprint() == {"devices": [], "reason": f"{gpu.NO_DRIVER} (Driver Not Loaded)"}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.fingerprint()["reason"] == gpu.NO_LIBRARY


def test_real_library_has_every_name_that_is_asked_for() -> None:
    """A name that it lacks would be told as absent, silently."""
    import inspect
    import re

    pynvml = pytest.importorskip("pynvml")
    asked = set(re.findall(r"\"(nvml\w+)\"", inspect.getsource(gpu))) - {"nvmlClocksThrottleReason"}
    asked |= {"NVML_NVLINK_MAX_LINKS"} | set(re.findall(r"nvml\.(NVML_\w+)", inspect.getsource(gpu)))
    assert len(asked) > 15 and {name for name in asked if not hasattr(pynvml, name)} == set()


def test_looks_are_recorded_by_the_clock_of_windows() -> None:
    """From the start of the cell's processes, as `windows.begin_s`; what was seen itself stays as it is."""
    runner: Any = SimpleNamespace(fingerprint={"cpu": "a processor"})
    watch = gpu.Watch(
        during=[[{"at_s": 103.5, "sm_hz": 1}, {"at_s": 103.5, "sm_hz": 2}], [{"at_s": 104.5, "sm_hz": 1}]]
    )
    found = Runner.with_gpus(runner, Outcome(fields={"status": "ok"}, begun_at=102.0), watch)
    seen = found.fields["machine"]["gpus_seen"]
    assert [[one["at_s"] for one in look] for look in seen["during"]] == [[1.5, 1.5], [2.5]]
    assert seen["during"][0][1]["sm_hz"] == 2
    assert watch.during[0][0]["at_s"] == 103.5
