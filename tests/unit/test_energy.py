"""Joules of windows from counters that are planted, on a clock of their own; and what zeus tells of this machine."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.machine import counters, energy
from bench.machine.energy import Reading, spent

PLANTED = Path(__file__).parents[1] / "planted"
Counter = Callable[[float], float | str]  # time -> joules


def read(*devices: Counter, period_s: float = 0.02, begin: float = 0.0, end: float = 10.0) -> list[Reading]:
    """Readings of some counters, each at its time."""
    return [(float(at_s), [one(float(at_s)) for one in devices]) for at_s in np.arange(begin, end, period_s)]


def steady(watts: float, tick_s: float = 0.1, phase_s: float = 0.0) -> Counter:
    """Constant power, told at the counter's last step."""
    return lambda at_s: 5000.0 + watts * (np.floor((at_s - phase_s + 1e-9) / tick_s) * tick_s + phase_s)


def windows(count: int = 20, seconds: float = 0.11, gap_s: float = 0.003, begin: float = 3.0) -> list[energy.Span]:
    starts = [begin + n * (seconds + gap_s) for n in range(count)]
    return [(start, start + seconds) for start in starts]


@pytest.mark.parametrize("tick_s", [0.001, 0.02, 0.1])
@pytest.mark.parametrize("watts", [55.5, 700.0])
def test_constant_power_gives_power_times_seconds(watts: float, tick_s: float) -> None:
    spans = windows()
    seconds = sum(end - begin for begin, end in spans)
    assert spent(read(steady(watts, tick_s)), spans, [0]) == pytest.approx(watts * seconds, rel=1e-9)


@pytest.mark.parametrize("phase_s", [0.0, 0.013, 0.07, 0.099])
def test_the_error_of_steps_unlike_the_readings_is_below_a_period_of_them(phase_s: float) -> None:
    """Were each reading taken as it is the error could be a step of the counter's, which is five times this."""
    spans = windows()
    seconds = sum(end - begin for begin, end in spans)
    found = spent(read(steady(300.0, 0.1, phase_s), period_s=0.0203), spans, [0])
    assert abs(found - 300.0 * seconds) < 300.0 * 0.0203


def test_what_lies_between_windows_does_not_count() -> None:
    def between(at_s: float) -> float:
        return 100.0 * min(at_s, 3.0) + 400.0 * max(0.0, min(at_s, 5.0) - 3.0) + 100.0 * max(0.0, at_s - 5.0)

    assert spent(read(between, period_s=0.01), [(2.0, 3.0), (5.0, 6.0)], [0]) == pytest.approx(200.0, rel=1e-6)


def test_devices_are_summed_and_others_left_out() -> None:
    readings = read(steady(100.0), steady(250.0, 0.02), steady(9e9))
    assert spent(readings, [(2.0, 4.0)], [0, 1]) == pytest.approx(700.0, rel=1e-9)
    assert spent(readings, [(2.0, 4.0)], [1]) == pytest.approx(500.0, rel=1e-9)
    with pytest.raises(OSError, match="device 3 has no counter"):
        spent(readings, [(2.0, 4.0)], [0, 3])


def wrapping(at_s: float) -> float:
    return (300.0 * at_s) % 1000.0


def standing(at_s: float) -> float:
    return 300.0 * min(at_s, 3.4) if at_s < 5 else 300.0 * at_s


def dying(at_s: float) -> float | str:
    return 300.0 * at_s if at_s < 3.5 else "GPU is lost"


def spiking(at_s: float) -> float:
    """As zeus tells of RAPL for a moment where it counts the wraparound before it reads the counter that wrapped."""
    return 300.0 * at_s + (262144.0 if 3.5 < at_s < 3.6 else 0.0)


@pytest.mark.parametrize(
    ("counter", "reason"),
    [
        (wrapping, "went backwards or began anew"),
        (spiking, "went backwards or began anew"),
        (standing, "stood still, or was not read, for 1.6 s"),
        (dying, "could not be read: GPU is lost"),
        (lambda _: 5000.0, "did not move while windows ran"),
        (lambda _: "no permission", "could not be read: no permission"),
    ],
)
def test_a_counter_that_cannot_be_trusted_gives_a_reason_and_no_number(counter: Counter, reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        spent(read(counter), windows(), [0])
    with pytest.raises(OSError, match=reason):
        spent(read(steady(100.0), counter), windows(), [0, 1])


def test_what_happens_to_a_counter_outside_the_windows_is_no_matter() -> None:
    def restarted(at_s: float) -> float:
        return 300.0 * at_s if at_s > 2.5 else 9000.0 + at_s

    def lost_later(at_s: float) -> float | str:
        return 300.0 * at_s if at_s < 8 else "GPU is lost"

    for counter in (restarted, lost_later):
        assert spent(read(counter), [(3.0, 5.0)], [0]) == pytest.approx(600.0, rel=1e-6)


def pulses(at_s: float) -> float:
    """100 W, and 400 W in the first quarter of each second."""
    whole, rest = divmod(at_s, 1.0)
    return 175.0 * whole + 400.0 * min(rest, 0.25) + 100.0 * max(rest - 0.25, 0.0)


@pytest.mark.parametrize(("period_s", "told"), [(0.001, True), (0.02, True), (0.05, True), (0.3, False), (0.4, False)])
def test_short_windows_far_apart_are_told_by_a_counter_that_moves_often_enough(period_s: float, told: bool) -> None:
    """Eight windows of 0.25 s, each with 100 J, in which power is four times that between them."""
    readings = read(pulses, period_s=period_s, end=12.0)
    spans = [(float(n), n + 0.25) for n in range(2, 10)]
    if told:
        assert spent(readings, spans, [0]) == pytest.approx(800.0, rel=energy.UNSURE_SHARE)
    else:
        with pytest.raises(OSError, match=r"moves too seldom for windows as short as these: [0-9]+ %"):
            spent(readings, spans, [0])


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        (read(steady(100.0), begin=3.05), "not read before their begin"),
        (read(steady(100.0), end=4.0), "not read after their end"),
        ([one for one in read(steady(100.0)) if not 3.5 < one[0] < 4.5], "was not read, for 1"),
        ([], "not read before their begin"),
    ],
)
def test_readings_that_are_missing_are_made_up_for_by_none(readings: Sequence[Reading], reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        spent(readings, windows(), [0])


@pytest.fixture
def zeus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """The planted library in place of any that is installed; takes what it plants."""

    def plant(what: str) -> None:
        monkeypatch.setenv("PLANTED_ZEUS", what)

    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PLANTED_RAPL", str(tmp_path))
    monkeypatch.syspath_prepend(PLANTED)
    forget()
    yield plant
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "zeus"]:
        del sys.modules[name]


def shown(found: counters.Counters) -> list[float]:
    """Watts by the counters: those that are planted are their power times the same number."""
    values = found.read()
    return [round(float(one) / float(values[0]), 3) for one in values]


def test_counters_of_gpus_are_joules_in_the_order_of_the_frameworks(
    zeus: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_ZEUS", '{"watts": [100, 200, 400, 800], "tick_s": 0.001}')
    assert shown(counters.find("cuda")) == [1, 2, 4, 8]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0,9,1")
    found = counters.find("cuda")
    assert shown(found) == [1, 0.25], "as CUDA takes it: up to the first that there is not"
    assert found.source == "NVML's counters of the cell's whole GPUs, whoever used them (zeus 0.16.0)"


@pytest.mark.parametrize("named", ["GPU-5a3c", "MIG-77", "", "0,GPU-1"])
def test_gpus_that_are_named_otherwise_than_by_number_have_a_reason(
    named: str, zeus: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    with pytest.raises(OSError, match="give numbers for energy"):
        counters.find("cuda")


def test_unlike_gpus_are_counted_only_in_an_order_that_is_known(
    zeus: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    zeus('{"watts": [100, 200], "names": {"1": "NVIDIA T4"}}')
    with pytest.raises(OSError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        counters.find("cuda")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert shown(counters.find("cuda")) == [1, 2]


def test_packages_are_counted_and_what_holds_them_is_not(zeus: Callable[[str], None], tmp_path: Path) -> None:
    zeus('{"watts": [60, 90, 30], "tick_s": 0.001}')
    for place, name in enumerate(("package-0", "psys", "package-1")):
        (tmp_path / f"intel-rapl:{place}").mkdir()
        (tmp_path / f"intel-rapl:{place}" / "name").write_text(f"{name}\n")
    found = counters.find("cpu")
    assert shown(found) == [1, 0.5]
    assert found.source == "RAPL's counters of 2 whole packages, whoever used them, without memory (zeus 0.16.0)"


@pytest.mark.parametrize("platform", ["cuda", "cpu"])
def test_what_zeus_says_is_the_reason(platform: str, zeus: Callable[[str], None]) -> None:
    zeus('{"error": "NVML and AMDSMI unavailable.\\nFailed"}')
    with pytest.raises(OSError, match=r"^no counter of energy: NVML and AMDSMI unavailable. Failed$"):
        counters.find(platform)


def test_a_machine_without_packages_or_with_none_that_can_be_read_has_a_reason(zeus: Callable[[str], None]) -> None:
    with pytest.raises(OSError, match="no device has a counter"):
        counters.find("cpu")
    zeus('{"stops_s": -1}')
    with pytest.raises(OSError, match="no counter of energy can be read: GPU is lost"):
        counters.find("cuda")


def test_another_vendor_and_another_platform_have_reasons(
    zeus: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="another vendor's GPUs here"):
        counters.find("rocm")
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "1")
    with pytest.raises(OSError, match="use HIP_VISIBLE_DEVICES"):
        counters.find("rocm")
    with pytest.raises(OSError, match="no counter of energy of a tpu"):
        counters.find("tpu")


def test_gpus_of_amd_are_those_that_hip_shows(zeus: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    zeus('{"vendor": "AMD", "watts": [100, 200, 400], "tick_s": 0.001, "names": {"1": "another"}}')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1,2")
    found = counters.find("rocm")
    assert shown(found) == [1, 2]
    assert found.source == "AMD SMI's counters of the cell's whole GPUs, whoever used them (zeus 0.16.0)"
    with pytest.raises(OSError, match="another vendor's GPUs here"):
        counters.find("cuda")


@pytest.mark.skipif(Path("/sys/class/powercap/intel-rapl").exists(), reason="this machine may have such a counter")
def test_real_zeus_says_that_there_is_no_rapl() -> None:
    pytest.importorskip("zeus.device")
    with pytest.raises(OSError, match=r"no counter of energy: RAPL"):
        counters.find("cpu")


@pytest.mark.skipif(Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists(), reason="this machine may have a GPU")
def test_real_zeus_says_that_there_is_no_gpu() -> None:
    pytest.importorskip("zeus.device")
    with pytest.raises(OSError, match="no counter of energy: NVML and AMDSMI unavailable"):
        counters.find("cuda")
