"""How a cell scales with its devices: efficiency with its interval, and where the rest of the time goes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from bench import metrics
from bench.record import Record
from bench.stats.compare import Comparison, compare

# What differs between a cell and its base on one device; everything else is the same.
SPREAD = ("devices", "scaling", "engine", "batch_per_device", "global_batch", "norm_groups")


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """A cell on several devices against one device behind the same engine.

    Weak scaling, N times the work: t(1) / t(N). Strong, the same work: t(1) / (N·t(N)). Both are the rate of N devices
    over N times the rate of one.
    """

    cell: dict[str, Any]  # as in the record
    value: float
    low: float | None  # of the 95 % interval; None below three repeats
    high: float | None


def efficiencies(records: Iterable[Record]) -> list[Efficiency]:
    """One for each cell on several devices whose base was measured too, in the order of the records."""
    cells: dict[str, dict[str, Any]] = {}
    steps: dict[str, dict[tuple[str, int], float]] = {}
    for record in records:
        if record["status"] == "ok" and (step := metrics.step_s(record)):
            cells.setdefault(record["cell_id"], record["cell"])
            steps.setdefault(record["cell_id"], {})[record["run"], record["repeat"]] = step
    bases = {base_key(cell, cell["global_batch"]): name for name, cell in cells.items() if is_base(cell)}
    found: list[Efficiency] = []
    for name, cell in cells.items():
        strong = cell["scaling"] == "strong"
        base = bases.get(base_key(cell, cell["global_batch" if strong else "batch_per_device"]))
        if cell["devices"] > 1 and base:
            found.append(efficiency(cell, compare(steps[base], steps[name]), cell["devices"] if strong else 1))
    return found


def efficiency(cell: dict[str, Any], times: Comparison, share: int) -> Efficiency:
    low, high = (None if bound is None else bound / share for bound in (times.low, times.high))
    return Efficiency(cell=cell, value=times.ratio / share, low=low, high=high)


def is_base(cell: dict[str, Any]) -> bool:
    return (cell["devices"], cell["engine"]) == (1, "distributed")


def base_key(cell: dict[str, Any], batch: int) -> str:
    """What a cell and its base have in common; `batch` is that of the base."""
    return repr((sorted((name, value) for name, value in cell.items() if name not in SPREAD), batch))


@dataclass(frozen=True, kw_only=True)
class Split:
    """Where the time of a step goes, in seconds; they add up to the step.

    What devices take without any exchange is computation; that some take longer than others is imbalance, as all wait
    for the slowest; the rest of the step is exchange that nothing hides.
    """

    step_s: float
    compute_s: float  # mean over the processes
    imbalance_s: float | None  # the slowest less the mean; None where one process drives all devices
    exposed_s: float
    exchange_s: float  # one all-reduce of all gradients, with nothing beside it
    bytes_per_s: float  # of that, counted as nccl-tests counts bus bandwidth: 2·(N − 1)/N of the bytes over the time


def split(record: Record) -> Split | None:
    """Of a cell on several devices, where its exchange was measured."""
    found, step = record.get("communication"), metrics.step_s(record)
    if not found or not step:
        return None
    windows: Sequence[dict[str, Any]] = found["without_exchange"]
    by_rank = [median(times) for times in zip(*([s / w["steps"] for s in w["rank_s"]] for w in windows), strict=True)]
    gradient = next(one for one in found["all_reduce"] if one["bytes"] == found["gradient_bytes"])
    devices = record["cell"]["devices"]
    return Split(
        step_s=step,
        compute_s=mean(by_rank),
        imbalance_s=max(by_rank) - mean(by_rank) if len(by_rank) > 1 else None,
        exposed_s=step - max(by_rank),
        exchange_s=gradient["seconds"],
        bytes_per_s=2 * (devices - 1) / devices * gradient["bytes"] / gradient["seconds"],
    )
