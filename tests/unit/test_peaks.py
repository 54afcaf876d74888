"""The table of peaks: whole names alone, dense figures, each with its source."""

import pytest

from bench.peaks import PEAKS, peak
from bench.precision import PRECISIONS

NVIDIA = [name for name in PEAKS if name.startswith("NVIDIA")]


@pytest.mark.parametrize("device", PEAKS)
def test_a_device_is_known_by_its_whole_name(device: str) -> None:
    assert peak(device) is PEAKS[device]
    for other in (f"{device} MIG 1g.10gb", device.lower(), device[:-1], f" {device}", f"{device} "):
        assert other in PEAKS or peak(other) is None


@pytest.mark.parametrize("device", [None, "", "cpu", "NVIDIA H100", "NVIDIA H100 80GB HBM2e", "AMD EPYC", "A100"])
def test_an_unknown_device_has_none(device: str | None) -> None:
    assert peak(device) is None


@pytest.mark.parametrize("device", PEAKS)
def test_every_row_says_where_it_is_from(device: str) -> None:
    found = PEAKS[device]
    assert "https://" in found.source and found.seen
    assert 1e11 < found.bytes_per_s < 2e13
    assert found.flops_per_s("fp64") is None and found.bf16
    rates = [found.flops_per_s(precision) for precision in PRECISIONS]
    assert all(rate is None or 1e13 < rate < 5e15 for rate in rates)


@pytest.mark.parametrize("device", NVIDIA)
def test_precisions_stand_in_the_ratio_of_dense_tensor_cores(device: str) -> None:
    """16 bits take twice as many operations as TF32 does; a figure with sparsity would make it four or one."""
    found = PEAKS[device]
    assert found.bf16 == found.fp16 and found.bf16 and found.tf32 and found.fp32
    assert found.bf16 / found.tf32 == pytest.approx(2.0, rel=0.05)
    assert found.fp32 <= found.tf32


def test_figures_that_are_often_taken_wrong() -> None:
    """With sparsity the first would be 1,979e12; with sums in float16 the second 330.3e12."""
    assert PEAKS["NVIDIA H100 80GB HBM3"].bf16 == 989.4e12
    assert PEAKS["NVIDIA GeForce RTX 4090"].bf16 == 165.2e12
    assert PEAKS["TPU v5 lite"].fp32 is None
