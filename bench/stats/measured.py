"""From records to families: what the terminal's tables, targets and arms are judged by."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from bench import metrics, windows
from bench.record import Record
from bench.stats.family import Family, fit


def family(records: Iterable[Record], metric: str = "step_s") -> Family:
    """The cells of some records by their identity, from records that are ok and have the metric, by round."""
    row = next(one for one in metrics.METRICS if one.name == metric)
    cells: dict[str, dict[Any, float]] = {}
    spreads: dict[str, dict[Any, float | None]] = {}
    for record in records:  # a later record of the same process stands for the earlier
        value = row.value(record) if record["status"] == "ok" else None
        if value is not None and value > 0:
            key = (record["run"], record["repeat"])
            cells.setdefault(record["cell_id"], {})[key] = value
            told = windows.step(record) if row.of_step else None
            spreads.setdefault(record["cell_id"], {})[key] = told.variance if told else None
    return fit(cells, together(spreads))


def together(spreads: Mapping[str, Mapping[Any, float | None]]) -> dict[str, float]:
    """For each cell the mean of its processes' variances, where every process has one."""
    known = {name: [one for one in found.values() if one is not None] for name, found in spreads.items()}
    return {
        name: math.fsum(found) / len(found)
        for name, found in known.items()
        if found and len(found) == len(spreads[name])
    }
