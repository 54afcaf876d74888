"""What is measured of a device, with a clock of the test's own; and what becomes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import attainable, ceilings
from bench.attainable import Ceiling
from bench.machine import memory, processor
from bench.machine.noise import Meter, Usage
from bench.metrics import attainable_share, mfu, step_s
from bench.spec import Request
from tests.report import samples

MIB = 1 << 20
GPU = "NVIDIA H100 80GB HBM3"


class Device:
    """Products and copies that take the time of a rate each, by a clock that nothing else moves."""

    def __init__(
        self, flops_per_s: float, bytes_per_s: float, memory_bytes: int = 1 << 60, sync_s: float = 0.0
    ) -> None:
        self.rates, self.memory_bytes, self.sync_s = (flops_per_s, bytes_per_s), memory_bytes, sync_s
        self.now, self.pending = 0.0, 0.0
        self.sides, self.sizes = list[int](), list[int]()

    def product(self, side: int, request: Any) -> Callable[[], None]:
        self.sides.append(side)
        return lambda: self.dispatch(2 * side**3 / self.rates[0])

    def scaled_copy(self, bytes_: int, request: Any) -> Callable[[], None]:
        self.sizes.append(bytes_)
        if bytes_ > self.memory_bytes:
            raise RuntimeError("CUDA out of memory")
        return lambda: self.dispatch(2 * bytes_ / self.rates[1])

    def dispatch(self, seconds: float) -> None:
        self.pending += seconds

    def sync(self, _: Any) -> None:
        self.now, self.pending = self.now + self.pending + self.sync_s, 0.0

    def clock(self) -> float:
        return self.now

    def used(self) -> Usage:
        """Others use a core for half of the time, the measurement two."""
        return Usage(busy_s=2.5 * self.now, steal_s=0.0, own_s=2.0 * self.now)

    def configure(self, request: Any) -> None: ...

    def devices(self) -> list[str]:
        return ["a device"]


def measured(device: Device, platform: str = "cuda") -> dict[str, Any]:
    request = Request(cell=samples.make_cell(platform=platform), task="measure", folder="")
    return ceilings.measured(request, device, device, device.clock, Meter(read=device.used))


def test_rates_are_those_of_the_device() -> None:
    found = measured(Device(5e12, 2e12))
    assert found["device"] == "a device"
    assert attainable.product_flops_per_s(found) == pytest.approx(5e12)
    assert attainable.copy_bytes_per_s(found) == pytest.approx(2e12)


@pytest.mark.parametrize(("flops_per_s", "side"), [(1e9, 256), (1e11, 1024), (5e12, 4096), (9e13, 8192), (9e14, 8192)])
def test_a_product_lasts_long_enough_or_is_the_largest(flops_per_s: float, side: int) -> None:
    device = Device(flops_per_s, 2e12)
    assert measured(device)["matmul"]["side"] == side
    assert device.sides == [256 * 2**n for n in range(len(device.sides))] and device.sides[-1] == side
    assert side == 8192 or 2 * side**3 / flops_per_s >= ceilings.PRODUCT_S
    assert side == 256 or 2 * (side // 2) ** 3 / flops_per_s < ceilings.PRODUCT_S


def test_one_disturbed_call_does_not_choose_the_side() -> None:
    """A product of side 256 takes 3.4 ms; every third call takes 50 ms more."""
    device, calls = Device(1e10, 5e10), iter(range(1000))
    plain = device.product

    def product(side: int, request: Any) -> Callable[[], None]:
        dispatch = plain(side, request)
        return lambda: (dispatch(), device.dispatch(0.05 if next(calls) % 3 == 2 else 0))[0]

    device.product = product  # type: ignore[method-assign]
    assert measured(device)["matmul"]["side"] == 512


@pytest.mark.parametrize(("platform", "least_s"), [("cuda", 0.1), ("cpu", 0.04)])
def test_windows_are_enough_and_long_enough(platform: str, least_s: float) -> None:
    found = measured(Device(9e14, 3e12), platform)
    for windows in (found["matmul"]["windows"], found["copy"]["windows"]):
        assert len(windows) == 5 and all(one["seconds"] >= least_s for one in windows)
        assert all(one["count"] == windows[0]["count"] > 1 for one in windows)


@pytest.mark.parametrize("sync_s", [1e-5, 1e-3, 1e-2])
def test_waiting_for_an_idle_device_costs_a_hundredth_of_a_window_on_any_machine(sync_s: float) -> None:
    found = measured(Device(1e11, 5e10, sync_s=sync_s), "cpu")
    for windows in (found["matmul"]["windows"], found["copy"]["windows"]):
        assert all(one["seconds"] >= max(0.04, 100 * sync_s) for one in windows)
    assert attainable.product_flops_per_s(found) == pytest.approx(1e11, rel=0.011)
    assert attainable.copy_bytes_per_s(found) == pytest.approx(5e10, rel=0.011)


def test_on_an_accelerator_the_array_is_halved_while_memory_is_short() -> None:
    device = Device(5e12, 2e12, memory_bytes=300 * MIB)
    assert measured(device)["copy"]["bytes"] == 256 * MIB
    assert device.sizes == [1024 * MIB, 512 * MIB, 256 * MIB]


def test_no_array_is_measured_that_a_cache_could_hold() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        measured(Device(5e12, 2e12, memory_bytes=200 * MIB))


def test_what_others_took_of_the_cores_is_told() -> None:
    found = measured(Device(1e11, 5e10), "cpu")
    assert [attainable.others(found[part]) for part in ("matmul", "copy")] == pytest.approx([0.2, 0.2])
    told = {"impl": "jax", "variant": "jit", "platform": "cpu", "precision": "fp32"} | found
    assert attainable.best({"ceilings": [told]})["a device", "fp32"].others == pytest.approx(0.2)
    assert attainable.others({"windows": [*windows(1.0), {"foreign_cpu_s": None, "steal_s": "x", "cpu_s": []}, 7]}) == 0


def test_another_failure_is_not_taken_for_lack_of_memory() -> None:
    device = Device(5e12, 2e12)
    device.scaled_copy = lambda bytes_, request: 1 / 0  # type: ignore[assignment, return-value]
    with pytest.raises(ZeroDivisionError):
        measured(device)


def machine(root: Path, caches: dict[int, tuple[str, str]], free_mib: int | None) -> Path:
    """Files of a system: of each core what shares its last cache, and the size of that."""
    for core, (shared, size) in caches.items():
        for level, of, text in ((1, str(core), "32K"), (3, shared, size), (2, str(core), "1024K")):
            index = root / f"sys/devices/system/cpu/cpu{core}/cache/index{level}"
            index.mkdir(parents=True)
            for name, value in (("level", str(level)), ("shared_cpu_list", of), ("size", text)):
                (index / name).write_text(f"{value}\n")
    if free_mib is not None:
        (root / "proc").mkdir()
        (root / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:  {free_mib * 1024} kB\n")
    return root


TWO_DIES = {0: ("0-1", "32768K"), 1: ("0-1", "32768K"), 2: ("2-3", "32768K")}


def test_a_cache_that_cores_share_counts_once(tmp_path: Path) -> None:
    root = machine(tmp_path, TWO_DIES, None)
    assert processor.cache_bytes((0, 1), root) == 32 * MIB
    assert processor.cache_bytes((0, 1, 2), root) == 64 * MIB
    assert processor.cache_bytes((7,), root) is None


def test_free_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    assert memory.available(machine(tmp_path, {}, 700)) == 700 * MIB
    assert memory.available(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("size", "free_mib", "expected_mib"),
    [
        ("32768K", 16384, 256),  # as a rule
        ("32768K", None, 256),  # nobody says what is free
        ("131072K", 16384, 512),  # four times a larger cache
        ("16384K", 1024, 128),  # an eighth of what is free
    ],
)
def test_on_a_processor_the_array_is_four_caches_and_an_eighth_of_what_is_free(
    tmp_path: Path, size: str, free_mib: int | None, expected_mib: int
) -> None:
    scale = ceilings.of_processor((0,), machine(tmp_path, {0: ("0", size)}, free_mib))
    assert scale.array_bytes == expected_mib * MIB


@pytest.mark.parametrize(("cores", "expected_mib"), [(1, 256), (2, 256), (8, 256), (16, 512), (64, 2048)])
def test_more_cores_are_taken_to_have_larger_caches_where_these_are_not_told(
    tmp_path: Path, cores: int, expected_mib: int
) -> None:
    scale = ceilings.of_processor(tuple(range(cores)), machine(tmp_path, {}, 65536))
    assert (scale.array_bytes, scale.smallest_bytes) == (expected_mib * MIB, expected_mib * MIB)


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    with pytest.raises(MemoryError, match="an array of 128 MiB is needed, and 512 MiB of memory are free"):
        ceilings.of_processor((0,), machine(tmp_path, {0: ("0", "32768K")}, 512))


def windows(*seconds: float, count: int = 10) -> list[dict[str, Any]]:
    return [{"count": count, "seconds": one} for one in seconds]


def entry(impl: str = "jax", device: str = GPU, precision: str = "bf16", **changed: Any) -> dict[str, Any]:
    found = {
        "impl": impl, "variant": "jit", "platform": "cuda", "precision": precision, "device": device,
        "matmul": {"side": 1000, "windows": windows(1.0, 2.0, 4.0)},
        "copy": {"bytes": 500, "windows": windows(1.0, 1.0, 4.0, 4.0)},
    }  # fmt: skip
    return found | changed


def test_rates_are_those_of_the_best_window() -> None:
    """10 products of 2·10⁹ operations in 1 s; copies of 500 bytes, read and written: 10⁴ bytes in a second."""
    assert attainable.product_flops_per_s(entry()) == 2e10
    assert attainable.copy_bytes_per_s(entry()) == 1e4


def test_what_others_took_is_that_of_the_best_window() -> None:
    """The other two were slow because others took a core."""
    cores = {"cpu_s": 1.0, "steal_s": 0.0}
    disturbed = {"count": 10, "seconds": 2.0, "foreign_cpu_s": 1.0, **cores}
    best = {"count": 10, "seconds": 1.0, "foreign_cpu_s": 0.25, **cores}
    assert attainable.others({"windows": [disturbed, best, disturbed]}) == 0.2


def test_the_best_of_the_frameworks_is_the_devices() -> None:
    slow = entry("torch", matmul={"side": 1000, "windows": windows(8.0)}, copy={"bytes": 5000, "windows": windows(1.0)})
    other = entry("torch", device="NVIDIA L4")
    failed = {**entry("tf"), "status": "oom", "reason": "no memory", "matmul": None, "copy": None}
    found = attainable.best({"ceilings": [entry(), slow, other, failed, entry(precision="fp32")]})
    assert set(found) == {(GPU, "bf16"), (GPU, "fp32"), ("NVIDIA L4", "bf16")}
    assert found[GPU, "bf16"] == Ceiling(
        device=GPU, precision="bf16", flops_per_s=2e10, product_by="jax jit", copy_bytes_per_s=1e5, copy_by="torch jit"
    )


ODD = (
    None, 7, "x", [], [None, 7, "x", [], {}], [entry(device=None)], [entry(precision=["bf16"])], [entry(device={})],
    [entry(matmul=None, copy=7)], [entry(matmul={"side": "x", "windows": 1}, copy={"bytes": True, "windows": {}})],
    [entry(matmul={"side": 1e200, "windows": windows(1.0)}, copy={"bytes": 5, "windows": []})],
    [entry(matmul={"side": 8, "windows": [{"count": 1, "seconds": 0}]}, copy={"bytes": -5, "windows": windows(1.0)})],
    [entry(matmul={"side": 8, "windows": [*windows(1.0), None]}, copy={"bytes": "inf", "windows": windows(1.0)})],
)  # fmt: skip


@pytest.mark.parametrize("told", ODD, ids=range(len(ODD)))
def test_a_strangers_ceilings_are_none(told: Any) -> None:
    assert attainable.best({"ceilings": told}) == {}


@pytest.mark.parametrize(
    ("platform", "machine", "told", "name"),
    [
        ("cpu", {"cpu": "A processor", "gpus": [{"name": GPU}]}, ["cpu"], "A processor"),
        ("cpu", {}, ["cpu"], None),
        ("cuda", {"gpus": [{"name": GPU}] * 8}, [GPU] * 8, GPU),
        ("cuda", {"gpus": [{"name": GPU}]}, [f"{GPU} MIG 1g.10gb"], None),  # a part of it
        ("cuda", {"gpus": [{"name": GPU}, {"name": "NVIDIA L4"}]}, [GPU], None),
        ("cuda", {"gpus": [{"name": GPU}, {}]}, [GPU], None),
        ("cuda", {"gpus": [{"name": GPU}] * 2}, ["/device:GPU:0, /device:GPU:1"], GPU),  # TensorFlow
        ("tpu", {"gpus": None}, ["TPU v4, TPU v4"], "TPU v4"),
        ("tpu", {"gpus": None}, ["TPU v4, TPU v5"], None),
        ("cuda", None, None, None),
    ],
)
def test_devices_have_a_name_where_all_agree(platform: str, machine: Any, told: Any, name: str | None) -> None:
    assert attainable.device_name(platform, machine, told or ()) == name


def record_on(platform: str, devices: int, precision: str = "bf16", **changed: Any) -> dict[str, Any]:
    cell = samples.make_cell("autoencoder", "jax", platform=platform, devices=devices, precision=precision)
    machine = {"cpu": "A processor", "gpus": [{"name": GPU}] * 8}
    ranks = [{"rank": 0, "device": ", ".join([GPU] * devices)}]
    return samples.make_record(cell, machine=machine, ranks=ranks, **changed)


def test_mfu_is_the_share_of_all_devices_peaks() -> None:
    record = record_on("cuda", 4)
    step = step_s(record)
    assert step and mfu(record) == pytest.approx(77_070_336 / step / (4 * 989.4e12))
    assert mfu(record_on("cuda", 4, "fp32")) == pytest.approx(mfu(record) * 989.4 / 66.9, rel=0.1)  # type: ignore[operator]


def test_no_mfu_where_no_peak_is_known() -> None:
    assert mfu(record_on("cpu", 1)) is None
    assert mfu(record_on("cuda", 1, "fp64")) is None
    assert mfu(record_on("cuda", 1) | {"machine": {"gpus": [{"name": f"{GPU} MIG 1g.10gb"}]}}) is None
    assert mfu(record_on("cuda", 1) | {"windows": None}) is None


@pytest.mark.parametrize(("platform", "devices", "as_many"), [("cuda", 1, 1), ("cuda", 4, 4), ("cpu", 4, 1)])
def test_emulated_devices_share_one_ceiling(platform: str, devices: int, as_many: int) -> None:
    record = record_on(platform, devices)
    ceiling = Ceiling(device="any", precision="bf16", flops_per_s=1e9)
    step = step_s(record)
    assert step and attainable_share(record | {"ceiling": ceiling}) == pytest.approx(77_070_336 / step / 1e9 / as_many)
    assert attainable_share(record) is attainable_share(record | {"ceiling": None}) is None


def test_an_entry_says_whose_it_is_or_why_there_is_none() -> None:
    cell, on = samples.make_cell(), {"cpu": "A processor"}
    whose = {"impl": "torch", "variant": "eager", "platform": "cpu", "precision": "fp32", "device": "A processor"}
    found = {"device": "cpu", "matmul": {"side": 8}, "copy": {"bytes": 9}}
    assert attainable.entry(cell, on, {"status": "ok", "ceilings": found}) == whose | found | {"device": "A processor"}
    failed = attainable.entry(cell, on, {"status": "oom", "reason": "no memory"})
    assert failed == whose | {"status": "oom", "reason": "no memory"}
    assert attainable.entry(cell, on, {"status": "ok"})["status"] == "crashed"
    assert attainable.way(failed) == attainable.way(vars(cell)) == ("torch", "eager", "cpu", "fp32")
