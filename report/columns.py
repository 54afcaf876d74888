"""The columns of the frame: what each holds, and where a record has it.

To add one: its line in `FLAT`, which exports hold too, or in `NESTED`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from bench import attainable, windows
from bench.metrics import METRICS, NOISE, Metric
from bench.record import Record
from report.values import at, finite, floats, inside, items, measurable, number, numbers, text

Kind = Literal["text", "whole", "number", "time", "object"]
CELL_WHOLE = ("devices", "nodes", "batch_per_device", "global_batch", "norm_groups", "seed")
CELL = (
    "workload", "size", "impl", "variant", "precision", "platform", "devices", "nodes", "scaling",
    "batch_per_device", "global_batch", "norm_groups", "optimizer", "kernels", "engine", "input", "seed", "arm",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its name, what it holds, and where a record has it."""

    name: str
    kind: Kind
    value: Callable[[Record], Any]


def _guarded(value: Callable[[Record], float | None]) -> Callable[[Record], float | None]:
    """None for a record without the fields that the value is made of, or with odd ones."""

    def found(record: Record) -> float | None:
        try:
            return value(record)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
            return None

    return found


def _metric(metric: Metric) -> Column:
    return Column(name=metric.name, kind="number", value=_guarded(metric.value))


def _step_variance(record: Record) -> float | None:
    """Variance of the logarithm of the step's time, as the windows that count tell it."""
    found = windows.step(record)
    return found.variance if found else None


def _sum(name: str) -> Callable[[Record], float | None]:
    """Sum of one value over the windows; None unless every window has it."""

    def total(record: Record) -> float | None:
        found = [number(inside(window, (name,))) for window in items(record["windows"])]
        return math.fsum(value for value in found if value is not None) if found and None not in found else None

    return total


def _losses(record: Record) -> dict[str, list[float]]:
    """Each loss by name, one number a step; not a number where the record has none."""
    found = record["losses"] if isinstance(record["losses"], dict) else {}  # pyright: ignore[reportUnknownVariableType]
    return {
        str(name): values if floats(items(values)) else [_or_nan(value) for value in items(values)]  # pyright: ignore[reportUnknownArgumentType]
        for name, values in found.items()  # pyright: ignore[reportUnknownVariableType]
    }


def _or_nan(value: Any) -> float:
    return math.nan if (found := number(value)) is None else found


def _reference_losses(record: Record) -> dict[str, list[float]]:
    """Float64's losses of the first steps; empty where the record has none."""
    return _losses({"losses": numbers(at(record, "parity.reference_losses"))})


def _latency(record: Record) -> list[float]:
    """Seconds of single steps, those that are finite."""
    found = items(record["latency_s"])
    found = found if floats(found) else [_or_nan(value) for value in found]
    return [value for value in found if measurable(value)]


def _spans(record: Record) -> list[tuple[float, float]]:
    """From when to when each window ran, in seconds from the start of the cell's processes; those that say so."""
    told = ([finite(inside(window, (name,))) for name in ("begin_s", "seconds")] for window in items(record["windows"]))
    return [(begin, begin + seconds) for begin, seconds in told if begin is not None and seconds is not None]


def _ceiling(name: str) -> Callable[[Record], float | None]:
    """A rate of the device's ceiling."""
    return lambda record: getattr(record["ceiling"], name, None)


def _mapping(name: str) -> Callable[[Record], dict[str, Any]]:
    return lambda record: record[name] if isinstance(record[name], dict) else {}


def _versions(record: Record) -> str | None:
    return ", ".join(f"{name} {text(version)}" for name, version in _mapping("versions")(record).items()) or None


def _column(name: str, kind: Kind, path: str | Callable[[Record], Any] | None = None) -> Column:
    """A column that holds what lies at a dotted path (its own name if none is given) or what a function finds."""
    if callable(path):
        return Column(name=name, kind=kind, value=path)
    names = (path or name).split(".")
    return Column(name=name, kind=kind, value=lambda record: inside(record, names))


FLAT = (
    *(_column(name, "text") for name in ("run", "cell_id", "spec_hash", "source_hash")),
    _column("repeat", "whole"),
    _column("started_at", "time"),
    _column("schema", "whole"),
    *(_column(name, "whole" if name in CELL_WHOLE else "text", f"cell.{name}") for name in CELL),
    _column("status", "text"),
    _column("reason", "text"),
    _column("verdict", "text", "parity.verdict"),
    _column("verdict_reason", "text", "parity.reason"),
    _column("max_rel_loss_diff", "number", "parity.max_rel_loss_diff"),
    _column("reference", "text", "parity.reference"),
    _column("drift_steps", "whole", "drift.steps"),
    _column("drift_max", "number", "drift.max_rel_loss_diff"),
    _column("drift_last", "number", "drift.last_rel_loss_diff"),
    _column("proof", "text", "parity.proof"),
    _column("start", "text"),
    _column("interpreter", "text", "interpreter.name"),
    _column("interpreter_python", "text", "interpreter.python"),
    _column("compile_cache", "text"),
    *(_metric(metric) for metric in METRICS),
    _column("device", "text", attainable.device_of),
    _column("attainable_flops_per_s", "number", _ceiling("flops_per_s")),
    _column("attainable_bytes_per_s", "number", _ceiling("copy_bytes_per_s")),
    _column("item", "text"),
    _column("items_per_step", "number"),
    _column("flops_per_step", "number"),
    _column("steps_skipped", "whole"),
    _column("window_count", "whole", lambda record: len(items(record["windows"])) or None),
    _column("window_steps", "number", _sum("steps")),
    _column("window_s", "number", _sum("seconds")),
    _column("foreign_cpu_s", "number", _sum("foreign_cpu_s")),
    _column("steal_s", "number", _sum("steal_s")),
    *(_metric(metric) for metric in NOISE),
    _column("latency_count", "whole", lambda record: len(items(record["latency_s"])) or None),
    *(
        _column(f"{name}_bytes", "number", f"memory_bytes.{name}")
        for name in ("host_peak", "host_baseline", "driver_peak")
    ),
    _column("energy_j", "number", "energy_j.total"),
    _column("idle_w", "number", "energy_j.idle_w"),
    _column("energy_source", "text", "energy_j.source"),
    _column("price_per_hour", "number"),
    _column("effective_matmul", "text", "effective_precision.matmul"),
    _column("effective_conv", "text", "effective_precision.conv"),
    _column("sync_median_share", "number", "sync_check.median_share"),
    _column("sync_max_share", "number", "sync_check.max_share"),
    _column("threads_intra", "whole", "threads.intra"),
    _column("threads_inter", "whole", "threads.inter"),
    *(_column(f"machine_{name}", "text", f"machine.{name}") for name in ("cpu", "system", "release", "python")),
    _column("versions", "text", _versions),
    _column("data_name", "text", "data.name"),
    _column("data_sha256", "text", "data.sha256"),
)  # what exports hold, in this order
NESTED = (
    _column("log_tail", "text"),
    _column("losses", "object", _losses),
    _column("reference_losses", "object", _reference_losses),
    _column("latency", "object", _latency),
    _column("windows", "object", _spans),
    _column("step_variance", "number", _guarded(_step_variance)),
    _column(
        "windows_aside", "whole", _guarded(lambda record: sum(windows.set_aside(record)) if record["windows"] else None)
    ),
    _column(
        "busy_throughout",
        "whole",
        _guarded(lambda record: int(windows.busy_throughout(record)) if record["windows"] else None),
    ),
    _column("ceiling", "object"),
    *(
        _column(f"{name}_map", "object", _mapping(name))
        for name in ("interpreter", "versions", "flags", "absent", "machine", "optimisations", "communication")
    ),
)  # what the page needs besides
COLUMNS = (*FLAT, *NESTED)
