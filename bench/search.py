"""The largest batch that fits: doubled until it does not, then narrowed down, each try a cell of its own.

A try is measured and recorded like any cell, once. Its trajectory is compared with nothing: a reference at its batch
would take far more memory than the try itself. A proof of the network holds for every batch: a run at one tells it.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from bench import record, show, workloads
from bench.plan import Job
from bench.record import Record
from bench.spec import Cell, WrongInput
from bench.units import scaled

MOST = 2**20  # samples a device, unless asked for otherwise; a search that reaches it says so
PARTS = 16  # the largest that fits and the smallest that does not lie within one of so many parts of it
TOO_LARGE = (
    "oom",
    "timeout",
)  # statuses of a batch that does not fit, in memory or in --timeout: the answer says which
UNCOMPARED = "a search for the largest batch compares no trajectories: measure that batch to have it"


def batches(start: int, least: int, most: int) -> Generator[int, bool, None]:
    """Batches to try, from `least` to `most`; whether each fits is sent back. Each at most once.

    Doubles from the start while they fit, else halves the way down to `least`; then bisects until the largest that fits
    and the smallest that does not lie within 1/`PARTS`, or are neighbours.
    """
    fits, fails, batch = least - 1, most + 1, start
    while fits < most and fails > most:
        if (yield batch):
            fits, batch = batch, min(2 * batch, most)
        else:
            fails = batch
    while fails <= most and fails - fits > max(1, fits // PARTS):
        batch = (fits + fails) // 2
        if (yield batch):
            fits = batch
        else:
            fails = batch


def tries(start: int, least: int, most: int) -> int:
    """How many batches there are to try at most."""
    return 1 + max((most // start).bit_length(), (start // least).bit_length()) + PARTS.bit_length()


def jobs(cells: Sequence[Cell], most: int, read: Callable[[], Sequence[Record]]) -> Iterator[list[Job]]:
    """One try after another, cell by cell; what became of it is looked up in the records of the run so far.

    A try that is among them already is not made again. One that fails in a way that has nothing to do with its batch
    ends the search of its cell, also where the cell cannot run here at all.
    """
    for cell in cells:
        steps = batches(cell.batch_per_device, least(cell), most)
        with suppress(StopIteration):
            batch = next(steps)
            while True:
                tried = at_batch(cell, batch)
                if not (found := of_cell(tried, read())):
                    yield [Job(cell=tried, repeat=0)]
                    found = of_cell(tried, read())
                if not found or found["status"] not in ("ok", *TOO_LARGE):
                    break
                batch = steps.send(found["status"] == "ok")


def of_cell(cell: Cell, records: Sequence[Record]) -> Record | None:
    return next((found for found in reversed(records) if found["cell_id"] == cell.id), None)


def at_batch(cell: Cell, batch: int) -> Cell:
    """The cell with another batch on each device."""
    return replace(cell, batch_per_device=batch, global_batch=batch * cell.devices)


def least(cell: Cell) -> int:
    """Smallest batch per device that the workload can take: batch norm needs several samples."""
    batch = 1
    while True:
        try:
            workloads.get(cell.workload, cell.size, batch * cell.devices).check(cell.norm_groups)
        except WrongInput:
            batch += 1
        else:
            return batch


def check(cells: Sequence[Cell], most: int | None) -> None:
    """Raises WrongInput for cells that no search, if one was asked for, can start from."""
    for cell in cells if most else ():
        if cell.scaling == "strong":
            raise WrongInput("--find-max-batch looks for the batch of a device: leave --scaling at weak")
        if most and cell.batch_per_device > most:
            raise WrongInput(
                f"{cell.workload}/{cell.size} starts from a batch of {cell.batch_per_device}: give a --max-batch of at "
                f"least that, not {most}, or a smaller --batch"
            )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a search found for one cell."""

    cell: Mapping[str, Any]
    largest: Record | None  # that fits
    smallest: Record | None  # that does not
    failed: Record | None  # what ended the search for another reason

    @property
    def found(self) -> bool:
        """Whether it has an answer, or the cell cannot run here at all, which is no failure."""
        return self.failed["status"] in record.HARMLESS if self.failed else self.largest is not None


def answers(records: Sequence[Record]) -> list[Answer]:
    """One for each cell that was searched, in the order of the records."""
    groups: dict[Cell, list[Record]] = {}
    for found in records:
        groups.setdefault(at_batch(Cell(**found["cell"]), 0), []).append(found)
    return [answer(members) for members in groups.values()]


def answer(tried: Sequence[Record]) -> Answer:
    """What the tries of one cell say."""
    by_batch = sorted(tried, key=lambda one: one["cell"]["batch_per_device"])
    return Answer(
        cell=by_batch[0]["cell"],
        largest=next((one for one in reversed(by_batch) if one["status"] == "ok"), None),
        smallest=next((one for one in by_batch if one["status"] in TOO_LARGE), None),
        failed=next((one for one in by_batch if one["status"] not in ("ok", *TOO_LARGE)), None),
    )


def foresee(cells: Sequence[Cell], most: int, here: Callable[[Cell], str], timeout_s: float) -> None:
    """Show what a search starts from and how many tries it may take: how long those take nobody knows before."""
    head = ("cell", "optimizer", "starts from batch", "up to", "tries at most", "here")
    show.rows(
        head,
        [
            (c.label, c.optimizer, c.batch_per_device, most, tries(c.batch_per_device, least(c), most), here(c))
            for c in cells
        ],
    )
    show.note(f"each try is a cell of its own, as long as one of its batch takes, {show.clock(timeout_s)} at most")


def conclude(records: Sequence[Record], most: int, *, as_json: bool) -> bool:
    """Show what was found; whether each search has an answer: batches that do not fit are part of it."""
    found = answers(records)
    if as_json:
        show.lines(records)
    else:
        head = ("cell", "optimizer", "largest batch", "throughput", "memory", "smallest that did not fit", "why")
        show.rows(head, [line(one, most) for one in found])
    show.note(f"batches are a device's; the largest found is within 1/{PARTS} of the smallest that does not fit")
    return all(one.found for one in found)


def line(one: Answer, most: int) -> tuple[str, ...]:
    cell = Cell(**one.cell)
    name = (cell.label, cell.optimizer)
    if one.failed:
        why = f"{one.failed['status']} at {batch_of(one.failed)}: {one.failed['reason']}"
        return *name, "not found", "", "", "", why
    smallest = str(batch_of(one.smallest)) if one.smallest else ""
    why = f"{one.smallest['status']}: {one.smallest['reason']}" if one.smallest else ""
    if not one.largest:
        return *name, "none fits", "", "", smallest, why
    rate, memory, device = (
        found[0] if (found := show.values_of(metric, [one.largest])) else None
        for metric in ("throughput_per_s", "host_memory_bytes", "device_memory_bytes")
    )
    reached = " (the bound: no more was tried)" if batch_of(one.largest) == most else ""
    return (
        *name,
        f"{batch_of(one.largest)}{reached}",
        scaled(rate, f"{one.largest['item']}/s") if rate else "",
        f"{scaled(device, 'B')} on the device" if device else scaled(memory, "B") if memory else "",
        smallest,
        why,
    )


def batch_of(found: Record) -> int:
    return found["cell"]["batch_per_device"]
