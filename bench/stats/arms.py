"""An A/A run: the same cells against themselves. Whatever it names is noise that was taken for a difference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench import metrics
from bench.record import Record
from bench.stats import holm, measured
from bench.stats.compare import LEVEL, Comparison, compare_cells, smallest_visible
from bench.units import digits

FIRST = ("workload", "size", "precision", "impl", "variant")  # what tables are sorted by


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One cell's arms compared: b over a in seconds a step."""

    cell: dict[str, object]  # as in the record, of arm a
    found: Comparison
    p: float | None  # adjusted for all cells of the run

    @property
    def named(self) -> bool:
        """Whether the table says that the arms differ."""
        return self.p is not None and self.p < LEVEL


def compare_arms(records: Iterable[Record]) -> list[Pair]:
    """For each cell that has both arms their step times compared by round, in the order of the cells' names."""
    ok = [record for record in records if record["status"] == "ok" and metrics.step_s(record)]
    cells: dict[str, dict[str, object]] = {}
    arms: dict[str, dict[str, str]] = {}
    for record in ok:
        if arm := record["cell"].get("arm"):
            cell = record["cell"]
            name = repr([cell[key] for key in FIRST] + sorted((cell | {"arm": None}).items()))
            cells.setdefault(name, cell)
            arms.setdefault(name, {})[arm] = record["cell_id"]
    family = measured.family(ok)
    both = {
        name: compare_cells((family, of["b"]), (family, of["a"]))
        for name, of in sorted(arms.items())
        if {"a", "b"} <= set(of)
    }
    adjusted = holm([found.p for found in both.values()])
    return [Pair(cell=cells[name], found=both[name], p=p) for name, p in zip(both, adjusted, strict=True)]


def conclusion(pairs: Sequence[Pair]) -> str:
    """How many cells the run names, and which differences it would have seen: in half of them, and in the noisiest."""
    tested = [pair for pair in pairs if pair.p is not None]
    if not tested:
        return "A/A: no cell has enough repeats to be named; give --repeats 3 or more"
    visible = [smallest_visible(pair.found, len(tested)) or 0.0 for pair in tested]
    named = sum(pair.named for pair in tested)
    seen = f"{size(median(visible))} and more would have been seen in half of the cells, in the noisiest"
    return (
        f"A/A: {named} of {len(tested)} cells named (none expected in 19 of 20 runs); "
        f"differences of {seen} of {size(max(visible))}"
    )


def size(share: float) -> str:
    """A difference for people: percent, or where that misleads a factor."""
    return f"{digits(100 * share)} %" if share < 1 else f"a factor of {digits(1 + share)}"
