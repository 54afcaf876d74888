"""Derived metrics: one row each. Tables, figures and comparisons iterate over `METRICS`."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from bench.record import Record


@dataclass(frozen=True, kw_only=True)
class Metric:
    name: str  # column of the frame and of exports; its unit is part of it
    label: str  # for people
    unit: str  # SI; `item` stands for the record's own unit
    better: Literal["higher", "lower"]
    value: Callable[[Record], float | None]  # None where the record does not have it


def step_s(record: Record) -> float | None:
    """Seconds of one steady step: the median over the windows of a window's seconds over its steps."""
    windows = record["windows"]
    return statistics.median(window["seconds"] / window["steps"] for window in windows) if windows else None


def _throughput(record: Record) -> float | None:
    step = step_s(record)
    return record["items_per_step"] / step if step else None


def _throughput_per_device(record: Record) -> float | None:
    rate = _throughput(record)
    return rate / record["cell"]["devices"] if rate else None


def _flops_per_s(record: Record) -> float | None:
    step = step_s(record)
    return record["flops_per_step"] / step if step else None


def _latency(share: float) -> Callable[[Record], float | None]:
    def quantile(record: Record) -> float | None:
        samples = sorted(record["latency_s"] or [])
        return samples[min(int(share * len(samples)), len(samples) - 1)] if samples else None

    return quantile


def _part(record: Record, field: str, part: str) -> Any:
    """A part of a field, None where the field is null or has no such part."""
    return record[field].get(part) if record[field] else None


def _phase(name: str) -> Callable[[Record], float | None]:
    return lambda record: _part(record, "phases_s", name)


def _host_memory(part: str) -> Callable[[Record], float | None]:
    def over_baseline(record: Record) -> float | None:
        peak, baseline = (_part(record, "memory_bytes", name) for name in (part, "host_baseline"))
        return None if peak is None or baseline is None else peak - baseline

    return over_baseline


def _device_memory(record: Record) -> float | None:
    peaks = _part(record, "memory_bytes", "device_peak")
    return max(peaks) if peaks else None


def _share(name: str) -> Callable[[Record], float | None]:
    """Share of the cores' time, over all windows, that was not the cell's."""

    def of_windows(record: Record) -> float | None:
        cores, windows = _part(record, "threads", "affinity"), record["windows"]
        if not cores or not windows or any(window.get(name) is None for window in windows):
            return None
        return sum(window[name] for window in windows) / (len(cores) * sum(window["seconds"] for window in windows))

    return of_windows


def _row(
    name: str, label: str, unit: str, better: Literal["higher", "lower"], value: Callable[[Record], float | None]
) -> Metric:
    return Metric(name=name, label=label, unit=unit, better=better, value=value)


METRICS = (
    _row("throughput_per_s", "Throughput", "item/s", "higher", _throughput),
    _row("throughput_per_device_per_s", "Throughput per device", "item/s", "higher", _throughput_per_device),
    _row("step_s", "Step time", "s", "lower", step_s),
    _row("latency_p50_s", "Latency, median", "s", "lower", _latency(0.5)),
    _row("latency_p95_s", "Latency, 95th percentile", "s", "lower", _latency(0.95)),
    _row("flops_per_s", "Arithmetic rate", "FLOP/s", "higher", _flops_per_s),
    _row("host_memory_bytes", "Host memory over baseline, peak", "B", "lower", _host_memory("host_peak")),
    _row("host_steady_bytes", "Host memory over baseline, steady state", "B", "lower", _host_memory("host_steady")),
    _row("device_memory_bytes", "Device memory, peak", "B", "lower", _device_memory),
    _row("import_s", "Import", "s", "lower", _phase("import")),
    _row("init_s", "Start of the runtime", "s", "lower", _phase("init")),
    _row("compile_s", "Build and first step", "s", "lower", _phase("compile")),
)

# How far a record was disturbed. Often 0, so that a geometric mean would mislead: these stand apart.
NOISE = (
    _row("foreign_cpu_share", "Cores used by other processes", "", "lower", _share("foreign_cpu_s")),
    _row("steal_share", "Cores taken by the hypervisor", "", "lower", _share("steal_s")),
)
DISTURBED = 0.05  # of the cores' time, from which on a reader should know


def disturbances(record: Record) -> list[str]:
    """What took more of the cell's cores than a reader should not know of, in words; often nothing."""
    shares = [(metric.label, metric.value(record)) for metric in NOISE]
    return [f"{label}: {100 * share:.0f} %" for label, share in shares if share is not None and share > DISTURBED]
