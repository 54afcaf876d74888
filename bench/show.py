"""What the terminal shows: progress, tables, numbers in units for people. Results go to standard output alone."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import metrics, record, stats
from bench.plan import Job
from bench.record import Record
from bench.units import scaled

# Markup is off: what is shown comes from logs and package names, and [torch] is no colour.
errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
output = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)


def note(text: str) -> None:
    errors.print(text)


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Progress:
    """What is under way, what is done, the time left: one live line on a terminal, else a line a cell.

    Goes to standard error. The live line is redrawn once a second at most, since the machine is being measured.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.total = self.finished = 0
        self.begin = time.monotonic()
        self.status = errors.status("", refresh_per_second=1) if errors.is_terminal else None

    def __enter__(self) -> "Progress":
        note(self.title)
        if self.status:
            self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.status:
            self.status.stop()

    def note(self, text: str) -> None:
        """Something that is no cell of the run is under way."""
        if self.status:
            self.status.update(Text(text))
        else:
            note(text)

    def each(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """The jobs, each announced before it runs."""
        self.total, self.begin = len(jobs), time.monotonic()
        for job in jobs:
            if self.status:
                text = f"[{self.finished + 1}/{self.total}] {job.cell.label} · {self._left()}"
                self.status.update(Text(text))
            yield job

    def done(self, found: Record) -> None:
        self.finished += 1
        cell, step = found["cell"], metrics.step_s(found)
        said = f"{scaled(step, 's')} a step, {found['parity']['verdict']}" if step else found["status"]
        if found["reason"]:
            said += f": {found['reason']}"
        left = "" if self.status else f" · {self._left()}"
        name = f"{cell['workload']}/{cell['size']} {cell['impl']} {cell['variant']} {cell['precision']}"
        note(f"[{self.finished}/{self.total}] {name} round {found['repeat'] + 1}: {said}{left}")

    def _left(self) -> str:
        if not self.finished:
            return "time left not known yet"
        spent = time.monotonic() - self.begin
        return f"{clock(spent / self.finished * (self.total - self.finished))} left"


def results(records: Sequence[Record], *, as_json: bool) -> None:
    """The records as lines of JSON on standard output, or a summary table."""
    if as_json:
        for found in records:
            sys.stdout.write(record.encode(found) + "\n")
    else:
        output.print(summary(records))
        for found in records:
            for disturbance in metrics.disturbances(found):
                cell = found["cell"]
                name = f"{cell['workload']}/{cell['size']} {cell['impl']} {cell['variant']} {cell['precision']}"
                note(f"disturbed: {name} round {found['repeat'] + 1}: {disturbance}")


def summary(records: Sequence[Record]) -> Table:
    """One row a cell: throughput and step time with their intervals, memory, verdict or status."""
    table = Table(
        "workload", "impl", "variant", "precision", "throughput", "±", "step", "memory", "parity", box=box.SIMPLE
    )
    for group in by_cell(records):
        cell, ok = group[0]["cell"], [found for found in group if found["status"] == "ok"]
        name = [f"{cell['workload']}/{cell['size']}", cell["impl"], cell["variant"], cell["precision"]]
        if not ok:
            table.add_row(*name, group[0]["status"], "", "", "", group[0]["reason"] or "")
            continue
        rate, step, memory = (
            stats.geometric_mean(values) if (values := values_of(name, ok)) else None
            for name in ("throughput_per_s", "step_s", "host_memory_bytes")
        )
        assert rate and step
        width = "" if rate.half_width is None else f"{100 * rate.half_width:.1f} %"
        verdict = worst_verdict(ok)
        failed = f", {len(group) - len(ok)} of {len(group)} failed" if len(ok) < len(group) else ""
        shown = [
            scaled(rate.mean, f"{ok[0]['item']}/s"),
            width,
            scaled(step.mean, "s"),
            scaled(memory.mean, "B") if memory else "",
        ]
        table.add_row(*name, *shown, verdict + failed)
    return table


def by_cell(records: Iterable[Record]) -> list[list[Record]]:
    """Records of one cell together, cells in the order of their workload and implementation."""
    groups: dict[str, list[Record]] = {}
    for found in records:
        groups.setdefault(found["cell_id"], []).append(found)
    keys = ("workload", "size", "precision", "impl", "variant")
    return sorted(groups.values(), key=lambda group: [group[0]["cell"][key] for key in keys])


def values_of(metric: str, records: Iterable[Record]) -> list[float]:
    """One value a record of a metric, where it has one above zero."""
    value = next(row.value for row in metrics.METRICS if row.name == metric)
    return [found for one in records if (found := value(one)) is not None and found > 0]


def worst_verdict(records: Iterable[Record]) -> str:
    order = ("diverged", "unchecked", "consistent", "proven")
    return min((found["parity"]["verdict"] for found in records), key=order.index)


def rows(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    """A plain table on standard output."""
    table = Table(*head, box=box.SIMPLE)
    for line in lines:
        table.add_row(*(str(value) for value in line))
    output.print(table)
