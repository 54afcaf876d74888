"""How a cell scales with its devices: efficiency with its interval, and where the rest of the time goes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from bench import metrics
from bench.record import Record
from bench.stats.compare import Comparison, compare_cells
from bench.stats.family import fit

# What differs between a cell and its base on one device; everything else is the same.
SPREAD = ("devices", "scaling", "engine", "batch_per_device", "global_batch", "norm_groups")


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """A cell on several devices against one device behind the same engine.

    Weak scaling, N times the work: t(1) / t(N). Strong, the same work: t(1) / (N·t(N)). Both are the rate of N devices
    over N times the rate of one.
    """

    cell: Mapping[str, Any]  # as in the record
    value: float
    low: float | None  # of the 95 % interval; None below three repeats
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Step time of a cell in one round; rounds of different runs are different."""

    cell: Mapping[str, Any]  # its fields as in the record
    round: tuple[str, int]
    step_s: float


def samples(records: Iterable[Record]) -> Iterator[Sample]:
    """One of each record that is ok."""
    for record in records:
        if record["status"] == "ok" and (step := metrics.step_s(record)):
            yield Sample(cell=record["cell"], round=(record["run"], record["repeat"]), step_s=step)


def efficiencies(found: Iterable[Sample]) -> list[Efficiency]:
    """One for each cell on several devices whose base was measured too, in the order given."""
    cells: dict[str, Mapping[str, Any]] = {}
    steps: dict[str, dict[tuple[str, int], float]] = {}
    for sample in found:
        name = repr(sorted(sample.cell.items()))
        cells.setdefault(name, sample.cell)
        steps.setdefault(name, {})[sample.round] = sample.step_s
    bases = {base_key(cell, cell["global_batch"]): name for name, cell in cells.items() if is_base(cell)}
    family = fit(steps)
    told: list[Efficiency] = []
    for name, cell in cells.items():
        strong = cell["scaling"] == "strong"
        base = bases.get(base_key(cell, cell["global_batch" if strong else "batch_per_device"]))
        if (cell["devices"] or 0) > 1 and base:
            told.append(
                efficiency(cell, compare_cells((family, base), (family, name)), cell["devices"] if strong else 1)
            )
    return told


def efficiency(cell: Mapping[str, Any], times: Comparison, share: int) -> Efficiency:
    low, high = (None if bound is None else bound / share for bound in (times.low, times.high))
    return Efficiency(cell=cell, value=times.ratio / share, low=low, high=high)


def is_base(cell: Mapping[str, Any]) -> bool:
    return (cell["devices"], cell["engine"]) == (1, "distributed")


def base_key(cell: Mapping[str, Any], batch: int) -> str:
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


def split(communication: Mapping[str, Any] | None, step_s: float | None, devices: int) -> Split | None:
    """Of a step on several devices, from the record's field, where the exchange was measured."""
    if not communication or not step_s:
        return None
    windows: Sequence[Mapping[str, Any]] = communication["without_exchange"]
    by_rank = [median(times) for times in zip(*([s / w["steps"] for s in w["rank_s"]] for w in windows), strict=True)]
    gradients = communication["gradient_bytes"]
    seconds = next(one["seconds"] for one in communication["all_reduce"] if one["bytes"] == gradients)
    return Split(
        step_s=step_s,
        compute_s=mean(by_rank),
        imbalance_s=max(by_rank) - mean(by_rank) if len(by_rank) > 1 else None,
        exposed_s=step_s - max(by_rank),
        exchange_s=seconds,
        bytes_per_s=2 * (devices - 1) / devices * gradients / seconds,
    )
