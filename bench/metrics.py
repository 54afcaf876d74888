"""Derived metrics: one row each. Tables, figures and comparisons iterate over `METRICS`."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench import attainable, peaks, windows
from bench.record import Record
from bench.stats import CONFIDENCE, MIN_REPEATS, moments, t_quantile


@dataclass(frozen=True, kw_only=True)
class Metric:
    name: str  # column of the frame and of exports; its unit is part of it
    label: str  # for people
    unit: str  # SI; `item` stands for the record's own unit
    better: Literal["higher", "lower"]
    value: Callable[[Record], float | None]  # None where the record does not have it

    @property
    def of_step(self) -> bool:
        """Whether it is the time of a step times or over a constant, so that windows tell how well it is known."""
        return self.name in OF_STEP


# Metrics that scatter as the time of a step does, on the logarithm
OF_STEP = (
    "throughput_per_s", "throughput_per_device_per_s", "step_s", "flops_per_s", "mfu", "attainable_share",
    "price_per_million",
)  # fmt: skip


def step_s(record: Record) -> float | None:
    """Seconds of one steady step: the middle (`bench.stats.middle`) over the windows that count."""
    found = windows.step(record)
    return math.exp(found.log) if found else None


def _throughput(record: Record) -> float | None:
    step = step_s(record)
    return record["items_per_step"] / step if step else None


def _throughput_per_device(record: Record) -> float | None:
    rate = _throughput(record)
    return rate / record["cell"]["devices"] if rate else None


def _flops_per_s(record: Record) -> float | None:
    step = step_s(record)
    return record["flops_per_step"] / step if step else None


def mfu(record: Record) -> float | None:
    """Share of the devices' peak, as their maker states it, at the cell's precision; None where none is known."""
    cell, rate, known = record["cell"], _flops_per_s(record), peaks.peak(attainable.device_of(record))
    most = known.flops_per_s(cell["precision"]) if known and cell["platform"] != "cpu" else None
    return rate / (cell["devices"] * most) if rate and most else None


def attainable_share(record: Record) -> float | None:
    """Share of what a product of matrices attained in the same run on the same device at the same precision.

    A record does not know it: who has the run puts the device's `attainable.Ceiling` beside the fields, as `ceiling`.
    """
    rate, most = _flops_per_s(record), attainable.flops_per_s(record["cell"], record.get("ceiling"))
    return rate / most if rate and most else None


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
        cores, found = _part(record, "threads", "affinity"), record["windows"]
        if not cores or not found or any(window.get(name) is None for window in found):
            return None
        return sum(window[name] for window in found) / (len(cores) * sum(window["seconds"] for window in found))

    return of_windows


def cold_start_s(record: Record) -> float | None:
    """Seconds from a fresh interpreter to the end of the first step, where nothing compiled was there to be reused."""
    parts: list[float | None] = [_part(record, "phases_s", name) for name in ("import", "init", "compile")]
    known = [part for part in parts if part is not None]
    return math.fsum(known) if record["compile_cache"] == "cold" and len(known) == len(parts) else None


def _joules_per_item(record: Record) -> float | None:
    total, found = _part(record, "energy_j", "total"), record["windows"]
    if total is None or not found:
        return None
    return total / (record["items_per_step"] * sum(window["steps"] for window in found))


def _price_per_million(record: Record) -> float | None:
    """What the devices cost for as long as a million items take; a processor's share one machine, which has the price.

    Without a currency: it is that in which the price of an hour was given.
    """
    price, rate, cell = record["price_per_hour"], _throughput(record), record["cell"]
    if price is None or not rate:
        return None
    paid = 1 if cell["platform"] == "cpu" else cell["devices"]
    return price * paid / 3600 * 1e6 / rate


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
    _row("mfu", "Share of the maker's peak (MFU)", "", "higher", mfu),
    _row("attainable_share", "Share of the attainable rate", "", "higher", attainable_share),
    _row("host_memory_bytes", "Host memory over baseline, peak", "B", "lower", _host_memory("host_peak")),
    _row("host_steady_bytes", "Host memory over baseline, steady state", "B", "lower", _host_memory("host_steady")),
    _row("device_memory_bytes", "Device memory, peak", "B", "lower", _device_memory),
    _row("import_s", "Import", "s", "lower", _phase("import")),
    _row("init_s", "Start of the runtime", "s", "lower", _phase("init")),
    _row("compile_s", "Build and first step", "s", "lower", _phase("compile")),
    _row("cold_start_s", "Cold start, whole", "s", "lower", cold_start_s),
    _row("joules_per_item", "Energy per item", "J/item", "lower", _joules_per_item),
    _row("price_per_million", "Price of a million items", "/M item", "lower", _price_per_million),
)

# How far a record was disturbed. Often 0, so that a geometric mean would mislead: these stand apart.
NOISE = (
    _row("foreign_cpu_share", "Cores used by other processes", "", "lower", _share("foreign_cpu_s")),
    _row("steal_share", "Cores taken by the hypervisor", "", "lower", _share("steal_s")),
)
DISTURBED = 0.05  # of the cores' time, from which on a reader should know
DISTURBED_CORE = 0.5  # or of one core's, however many there are: a step waits for its slowest


def disturbances(record: Record) -> list[str]:
    """What took more of the cell's cores than a reader should not know of, in words; often nothing."""
    shares = [(metric.label, metric.value(record)) for metric in NOISE]
    limit = min(DISTURBED, DISTURBED_CORE / len(_part(record, "threads", "affinity") or (0,)))
    return [f"{label}: {_percent(share)}" for label, share in shares if share is not None and share > limit]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= DISTURBED else f"{100 * share:.1f} %"


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """After how many steps the cell with the dearer cold start has caught up with the other, or why there is no such.

    The interval needs `MIN_REPEATS` cold starts of each cell, and steps that differ beyond their noise.
    """

    steps: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None  # where `steps` is None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a cell costs in time: seconds of its cold starts and of a steady step, one of each a repeat that has it."""

    starts: Sequence[float]
    steps: Sequence[float]

    @property
    def start_s(self) -> float:
        return _mean(self.starts)[0]

    @property
    def step_s(self) -> float:
        return _mean(self.steps)[0]


def cost(records: Sequence[Record]) -> Cost:
    """A cell's cost, from its records that are ok."""
    return Cost(starts=_values(cold_start_s, records), steps=_values(step_s, records))


def break_even(one: Cost, other: Cost) -> BreakEven:
    """Steps after which two cells, each started cold, have taken equally long: (start − start') / (step' − step).

    Start and step are geometric means over repeats. The interval is Fieller's for a ratio of two uncertain numbers,
    with the degrees of freedom of the smallest sample: E. C. Fieller, J. R. Stat. Soc. B 16 (1954).
    """
    if not (one.starts and other.starts):
        return BreakEven(steps=None, reason="no cold start of one of the two")
    if not (one.steps and other.steps):
        return BreakEven(steps=None, reason="no step time of one of the two")
    dear, cheap = sorted((one, other), key=lambda found: -found.start_s)
    (start_dear, of_dear), (start_cheap, of_cheap) = _mean(dear.starts), _mean(cheap.starts)
    (slow, of_slow), (fast, of_fast) = _mean(cheap.steps), _mean(dear.steps)
    if start_dear == start_cheap:
        return BreakEven(steps=None, reason="from the start: both take equally long to start")
    if fast >= slow:
        return BreakEven(steps=None, reason="never: the one with the dearer start has no faster step")
    extra, gain = start_dear - start_cheap, slow - fast
    if min(map(len, (dear.starts, cheap.starts, dear.steps, cheap.steps))) < MIN_REPEATS:
        return BreakEven(steps=extra / gain)
    t = t_quantile(0.5 + CONFIDENCE / 2, min(len(dear.starts), len(cheap.starts)) - 1)
    low, high = _fieller(extra, of_dear + of_cheap, gain, of_slow + of_fast, t)
    return BreakEven(steps=extra / gain, low=low, high=high)


def _values(value: Callable[[Record], float | None], records: Iterable[Record]) -> list[float]:
    return [found for record in records if record["status"] == "ok" and (found := value(record))]


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Geometric mean and, to first order, its variance."""
    count, mean, variance = moments(values)
    return math.exp(mean), math.exp(mean) ** 2 * variance / count


def _fieller(x: float, of_x: float, y: float, of_y: float, t: float) -> tuple[float | None, float | None]:
    """The interval of x / y from their variances; none where y itself may be 0, as every ratio is possible then."""
    ratio, g = x / y, t * t * of_y / (y * y)
    if g >= 1:
        return None, None
    half = t / y * math.sqrt((1 - g) * of_x + ratio * ratio * of_y)
    return max((ratio - half) / (1 - g), 0.0), (ratio + half) / (1 - g)
