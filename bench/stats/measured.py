"""From records to families: what the terminal's tables, targets and arms are judged by."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench import metrics, windows
from bench.record import Record
from bench.stats.family import Family, fit


def family(records: Iterable[Record], metric: str = "step_s") -> Family:
    """The cells of some records by their identity, from records that are ok and have the metric, by round."""
    row = next(one for one in metrics.METRICS if one.name == metric)
    cells: dict[str, dict[Any, float]] = {}
    spreads: dict[str, list[float | None]] = {}
    for record in records:
        value = row.value(record) if record["status"] == "ok" else None
        if value is not None and value > 0:
            cells.setdefault(record["cell_id"], {})[(record["run"], record["repeat"])] = value
            told = windows.step(record) if row.of_step else None
            spreads.setdefault(record["cell_id"], []).append(told.variance if told else None)
    return fit(cells, together(spreads))


def together(spreads: dict[str, list[float | None]]) -> dict[str, float]:
    """For each cell the mean of its processes' variances, where every process has one."""
    return {name: mean for name, found in spreads.items() if (mean := mean_of(found)) is not None}


def mean_of(found: Sequence[float | None]) -> float | None:
    known = [one for one in found if one is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None
