"""Which cells run again once the first rounds are over, and the arms of an A/A run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from bench import plan, stats
from bench.plan import Job
from bench.record import Record
from bench.spec import Cell
from bench.stats import measured
from bench.stats.family import Family

ARMS = ("a", "b")


def arms(cells: Iterable[Cell]) -> list[Cell]:
    """Each cell twice, as two arms that differ in nothing but their name."""
    return [replace(cell, arm=arm) for cell in cells for arm in ARMS]


def further(
    cells: Sequence[Cell], repeats: range, seed: int, target: float, read: Callable[[], Sequence[Record]]
) -> Iterator[list[Job]]:
    """One more round after another, of the cells whose interval has not reached the target by then.

    Args:
        cells: those of the first rounds.
        repeats: numbers of the rounds that may follow.
        seed: of the order within a round.
        target: half width of the interval of the step time, as a share.
        read: the records of the run so far; asked anew before each round.
    """
    for repeat in repeats:
        found = measured.family(read())
        jobs = list(plan.rounds([cell for cell in cells if unfinished(cell, target, found)], [repeat], seed))
        if not jobs:
            return
        yield jobs


def unfinished(cell: Cell, target: float, found: Family) -> bool:
    """Whether a cell ran and its interval is wider than the target; one that never ran will not do so later."""
    return cell.id in found.cells and not cell.emulated and not reached(target, found, cell.id)


def reached(target: float, found: Family, cell_id: str) -> bool:
    """Whether the interval of a cell's step time, as a run's records tell it, is as narrow as the target."""
    return stats.enough(found.estimate(cell_id), target)
