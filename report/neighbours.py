"""Cells that were measured side by side, of a frame's rows: what their intervals and comparisons are made from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.metrics import METRICS, Metric
from bench.stats.family import Family, fit
from bench.stats.measured import together
from report.frame import Row
from report.values import measurable

BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The rows that are ok of all cells measured side by side: how each cell scatters is judged together."""

    rows: Sequence[Row]
    fits: dict[tuple[str, str | None], Family] = field(default_factory=dict[tuple[str, str | None], Family])

    def family(self, metric: str, *, cache: str | None = None) -> Family:
        """The family of one metric; of repeats with such a compile cache alone if one is given."""
        if (metric, cache) not in self.fits:
            cells: dict[str, dict[object, float]] = {}
            spreads: dict[str, dict[object, float | None]] = {}
            for row in self.rows:
                if cache in (None, row["compile_cache"]) and values([row], metric):
                    name, key = name_of(row), (row["run"], row["repeat"])
                    cells.setdefault(name, {})[key] = row[metric]
                    spreads.setdefault(name, {})[key] = row["step_variance"] if BY_NAME[metric].of_step else None
            self.fits[metric, cache] = fit(cells, together(spreads))
        return self.fits[metric, cache]


def name_of(row: Row) -> str:
    """What tells a cell from all others: its identity and what it trains."""
    return f"{row['cell_id'] or '?'} {row['spec_hash']}"


def values(members: Iterable[Row], metric: str) -> list[float]:
    """One value a repeat, where it has one above zero that can have been measured: what a geometric mean can take."""
    return [row[metric] for row in members if row[metric] is not None and measurable(row[metric])]
