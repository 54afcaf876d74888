"""What the terminal shows: progress, tables, numbers in units for people. Results go to standard output alone."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from bench import metrics, record, rounds, stats, windows, workloads
from bench.plan import Job
from bench.record import Record
from bench.spec import Cell
from bench.stats import anomalies, arms, measured, scaling
from bench.stats.family import Family
from bench.text import plain
from bench.units import scaled

FIGURES = ("throughput_per_s", "step_s", "host_memory_bytes")  # of a row of the summary

# Markup is off: what is shown comes from logs and package names, and [torch] is no colour.
errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
output = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)


def note(text: str) -> None:
    errors.print(plain(text))


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Progress:
    """What is under way, how much is done, the time left: a bar on a terminal, else a line for each process.

    Goes to standard error. The bar is redrawn once a second at most, since the machine is being measured.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.jobs = self.ended = 0
        self.begun_s = time.monotonic()
        columns = (BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
        live = errors.is_terminal
        self.bar = Bar(*columns, console=errors, refresh_per_second=1, transient=True) if live else None
        self.task = self.bar.add_task("", total=None) if self.bar else None
        self.total = self.finished = 0.0  # jobs, and shares of them
        self.seen: set[tuple[str, int]] = set()  # processes whose first window was told

    def __enter__(self) -> "Progress":
        note(self.title)
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def note(self, text: str) -> None:
        """Something that is no cell of the run is under way."""
        if self.bar and self.task is not None:
            self.bar.update(self.task, description=plain(text))
        else:
            note(text)

    def plan(self, jobs: Sequence[Job]) -> None:
        """So many more are to be run."""
        if not self.total:
            self.begun_s = time.monotonic()
        self.jobs += len(jobs)
        self.total += len(jobs)

    def now(self, job: Job, doing: str) -> None:
        """A process of a cell is under way."""
        if self.bar and self.task is not None:
            text = f"{self._left()} · {label(job.cell)} round {job.repeat + 1} {doing}"
            self.bar.update(self.task, total=self.total, completed=self.finished, description=plain(text))

    def advance(self, job: Job, share: float) -> None:
        """So much of a job is done."""
        self.finished = min(self.finished + share, self.total)

    def kept(self, found: Record) -> None:
        """A record was stored: the first of a process, or its last, with a line each; nothing is said of others."""
        name = (found["cell_id"], found["repeat"])
        unfinished = found["status"] == "ok" and found["visits"] is not None and found["memory_bytes"] is None
        if unfinished and name in self.seen:
            return
        self.seen.add(name)
        if not unfinished:
            self.ended += 1
            self.finished = max(self.finished, float(self.ended))
        place = "first window" if unfinished else f"[{self.ended}/{self.jobs}]"
        step = metrics.step_s(found) if found["status"] == "ok" else None
        said = f"{scaled(step, 's')} a step" if step else found["status"]
        if found["reason"]:
            said += f": {found['reason']}"
        left = "" if self.bar or self.ended == self.jobs else f" · {self._left()}"
        note(f"{place} {label(Cell(**found['cell']))} round {found['repeat'] + 1}: {said}{left}")

    def _left(self) -> str:
        if self.finished < 0.3:
            return "time left not known yet"
        spent = time.monotonic() - self.begun_s
        return f"{clock(spent / self.finished * (self.total - self.finished))} left"


def label(cell: Cell) -> str:
    """A cell's short name, with its batch where that is not the size's own, and its arm."""
    batch = cell.global_batch if cell.scaling == "strong" else cell.batch_per_device
    told = "" if batch == workloads.get(cell.workload, cell.size).batch else f" batch {batch}"
    return f"{cell.label}{told}{arm({'arm': cell.arm})}"


def arm(cell: Mapping[str, Any]) -> str:
    return f" {cell['arm']}" if cell.get("arm") else ""


def results(records: Sequence[Record], *, as_json: bool, target: float | None = None) -> None:
    """The records as lines of JSON on standard output, or a summary table; what there is to say below it."""
    pairs = arms.compare_arms(records)
    if as_json:
        lines(records)
    else:
        output.print(summary(records, target))
        for line in explanations(records):
            output.print(line)
        scaling_rows(records)
        for line in disturbed(records):
            note(line)
        for line in windows.notes(records):
            note(line)
        if pairs:
            rows(("cell", "b / a", "95 % interval", "p, adjusted", ""), [arms_row(pair) for pair in pairs])
    if pairs:
        (note if as_json else output.print)(arms.conclusion(pairs))


def lines(records: Iterable[Record]) -> None:
    """The records on standard output, one line of JSON each."""
    for found in records:
        sys.stdout.write(record.encode(found) + "\n")


def summary(records: Sequence[Record], target: float | None = None) -> Table:
    """One row a cell: throughput and step time with their intervals, memory, verdict or status, marks of oddities."""
    columns = (
        "workload",
        "impl",
        "variant",
        "precision",
        "devices",
        "throughput",
        "±",
        "step",
        "memory",
        "parity",
        "odd",
    )
    table = Table(*columns, box=box.SIMPLE)
    families = {name: measured.family(records, name) for name in FIGURES}
    for group in by_cell(records):
        cell, ok = group[0]["cell"], [found for found in group if found["status"] == "ok"]
        name = [f"{cell['workload']}/{cell['size']}", cell["impl"], cell["variant"] + arm(cell), cell["precision"]]
        name.append(devices(cell))
        if ok:
            table.add_row(*name, *_figures(ok[0], families, target), _verdict(group, ok), marks(ok))
        else:
            table.add_row(*name, group[0]["status"], "", "", "", plain(group[0]["reason"] or ""), "")
    return table


def _figures(one: Record, families: Mapping[str, Family], target: float | None) -> list[str]:
    """Throughput with its interval, step time, memory: of a cell that ran, among those of its run."""
    cell = one["cell_id"]
    rate, step, memory = (families[name].estimate(cell) if cell in families[name].cells else None for name in FIGURES)
    assert rate and step
    width = "" if rate.half_width is None else f"{100 * rate.half_width:.1f} %"
    missed = " (not reached)" if target and not rounds.reached(target, families["step_s"], cell) else ""
    throughput, memory = scaled(rate.mean, f"{one['item']}/s"), scaled(memory.mean, "B") if memory else ""
    return [throughput, width + missed, scaled(step.mean, "s"), memory]


def _verdict(group: Sequence[Record], ok: Sequence[Record]) -> str:
    failed = f", {len(group) - len(ok)} of {len(group)} failed" if len(ok) < len(group) else ""
    return worst_verdict(ok) + failed


def disturbed(records: Sequence[Record]) -> list[str]:
    """One line on what others took of the cores while cells were measured, where it was much."""
    told = {n: said for n, one in enumerate(records) if (said := metrics.disturbances(one))}
    if not told:
        return []
    worst = max(told, key=lambda n: max(metric.value(records[n]) or 0.0 for metric in metrics.NOISE))
    one = records[worst]
    where = f"{label(Cell(**one['cell']))} round {one['repeat'] + 1}"
    return [f"disturbed: {len(told)} of {len(records)} processes; most of all {where}: {'; '.join(told[worst])}"]


def marks(repeats: Sequence[Record]) -> str:
    """Such as `d2 o`: drift in two processes, an outlier in one."""
    kinds: Counter[anomalies.Kind] = Counter(odd.kind for odd in anomalies.find_anomalies(repeats))
    return " ".join(f"{anomalies.MARKS[kind][0]}{count if count > 1 else ''}" for kind, count in kinds.items())


def explanations(records: Sequence[Record]) -> list[str]:
    """One line that says what the marks of the summary stand for; none if there are none."""
    ok = [record for record in records if record["status"] == "ok"]
    found = {odd.kind for group in by_cell(ok) for odd in anomalies.find_anomalies(group)}
    meanings = [f"{mark} {text}" for kind, (mark, text) in anomalies.MARKS.items() if kind in found]
    return [f"odd: {'; '.join(meanings)}"] if meanings else []


def scaling_rows(records: Sequence[Record]) -> None:
    """What several devices gained, and where the rest of their time went; nothing where there was one."""
    found = scaling.efficiencies(scaling.samples(records))
    if not found:
        return
    splits = {
        one["cell_id"]: split
        for one in records
        if (split := scaling.split(one["communication"], metrics.step_s(one), one["cell"]["devices"]))
    }
    head = ("cell", "per device", "efficiency", "95 % interval", "compute", "imbalance", "exchange", "all-reduce")
    rows(head, [scaling_row(one, splits.get(Cell(**one.cell).id), records) for one in found])
    if any(Cell(**one.cell).emulated for one in found):
        output.print("Emulated devices share the cores of this processor: their scaling is not that of hardware.")


def scaling_row(found: scaling.Efficiency, split: scaling.Split | None, records: Iterable[Record]) -> tuple[str, ...]:
    """Efficiency, shares of a step, and the bandwidth of the gradients' all-reduce."""
    cell = Cell(**found.cell)
    own = [one for one in records if one["cell_id"] == cell.id and one["status"] == "ok"]
    rate = stats.geometric_mean(values_of("throughput_per_device_per_s", own)).mean
    between = "" if found.low is None or found.high is None else f"{100 * found.low:.1f} to {100 * found.high:.1f} %"
    first = (f"{label(cell)}{' emulated' if cell.emulated else ''}", scaled(rate, f"{own[0]['item']}/s"))
    if split is None:
        return *first, f"{100 * found.value:.1f} %", between, "", "", "", ""
    parts = (split.compute_s, split.imbalance_s, split.exposed_s)
    shares = ("" if part is None else f"{100 * part / split.step_s:.0f} %" for part in parts)
    return *first, f"{100 * found.value:.1f} %", between, *shares, scaled(split.bytes_per_s, "B/s")


def arms_row(pair: arms.Pair) -> tuple[str, ...]:
    cell, found = pair.cell, pair.found
    name = Cell(**cell).label  # pyright: ignore[reportArgumentType]
    between = "" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"
    p = "" if pair.p is None else f"{pair.p:.2g}"
    return name, f"{found.ratio:.3f}", between, p, "named" if pair.named else ""


def by_cell(records: Iterable[Record]) -> list[list[Record]]:
    """Records of one cell together, cells in the order of their workload and implementation."""
    groups: dict[str, list[Record]] = {}
    for found in records:
        groups.setdefault(found["cell_id"], []).append(found)
    keys = ("workload", "size", "precision", "impl", "variant", "arm", "scaling", "devices", "engine")
    return sorted(groups.values(), key=lambda group: [_sortable(group[0]["cell"].get(key)) for key in keys])


def _sortable(value: object) -> tuple[bool, float, str]:
    """Numbers in their order, then words, nothing first."""
    number = isinstance(value, int)
    return value is not None, float(value) if number else 0.0, "" if number or value is None else str(value)


def devices(cell: Mapping[str, Any]) -> str:
    """How many, and what else there is to know of them."""
    wrapped = " distributed" if (cell["devices"], cell["engine"]) == (1, "distributed") else ""
    kind = " emulated" if cell["platform"] == "cpu" and cell["devices"] > 1 else ""
    return f"{cell['devices']}{wrapped}{kind}{' strong' if cell['scaling'] == 'strong' else ''}"


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
        table.add_row(*(plain(str(value)) for value in line))
    output.print(table)
