"""One offline HTML file from the records of some runs. It holds its own plotly.js and asks the network for nothing.

Records come from strangers: the template escapes all text, figures escape what plotly reads as tags.
"""

import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import store
from bench.store import Run
from report import answer, html, images, layout, surroundings, tables
from report.cells import FRAMEWORKS, Group, framework_order, grouped, listed, plural
from report.charts import trend
from report.charts.trend import Moment
from report.files import save
from report.filters import cell_data, filters
from report.frame import Row, frame, priced, rows
from report.panels import Section, Table
from report.sections import sections
from report.values import at, items, text, whole

INCLUDED = (
    "A measurement is the wall-clock time to dispatch k training steps (forward, backward, optimizer update) on "
    "batches already on the device and to wait for the last of them; data loading, compilation, warm-up and the first "
    "20 steps are excluded and reported apart."
)


SUMMARY = "Every cell, with its proof"
OPEN_LINES = 100


@dataclass(frozen=True, kw_only=True)
class Part:
    """All that the page shows of one run."""

    name: str
    facts: Sequence[tuple[str, str]]
    notices: Sequence[str]
    boards: Sequence[tuple[answer.Board, str | None]]  # with the winner's colour
    legend: Sequence[tuple[str, str]]  # framework for people, colour
    sections: Sequence[Section]
    summary: Table
    failures: Sequence[surroundings.Failure]
    machine: Table
    software: Table
    fairness: Table
    absent: Table
    cells: Mapping[str, Mapping[str, Any]]  # by id, what the filters ask and what repeats it
    moment: Moment

    @property
    def long(self) -> bool:
        """Whether the summary is too long to lie open."""
        return len(self.summary.lines) > OPEN_LINES


def write(
    runs: Sequence[Path],
    target: Path,
    pictures: Path | None = None,
    format: str = "png",
    *,
    price: float | None = None,
) -> None:
    """Write the report of the runs, whole or not at all; its charts as pictures too where a folder is given.

    A price of a device's hour that is given here stands for that of the records.

    Raises:
        WrongInput: no run there, one that cannot be read, or a target that cannot be written.
    """
    if pictures:
        images.check(pictures, format)
    found = [read(folder) for folder in runs]
    parts = [part(number, priced(run, price), said) for number, (run, said) in enumerate(found, 1)]
    save(target, render(parts))
    if pictures:
        images.write([section for one in parts for section in one.sections], pictures, format)


def read(folder: Path) -> tuple[Run, list[str]]:
    """A run, and what its reader warned of; the warnings are given to the caller's terminal too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = store.load(folder)
    said = [str(warning.message) for warning in caught]
    for message in said:
        warnings.warn(message, stacklevel=2)
    return run, said


def part(place: int, run: Run, warned: Sequence[str]) -> Part:
    """What the page shows of a run; `place` tells its charts from another run's."""
    plain = rows(frame([run]))
    found = grouped(plain)
    impls = sorted({cell.impl for group in found for cell in group.cells}, key=framework_order)
    palette = layout.colours(impls)
    return Part(
        name=run.name,
        facts=list(facts(run.meta, plain)),
        notices=[*warned, *notices(run.meta, found, plain)],
        boards=[(board, palette.get(board.overall.winner or "")) for board in answer.boards(found)],
        legend=[(FRAMEWORKS.get(impl, impl), palette[impl]) for impl in impls],
        sections=sections(place, found, palette),
        summary=tables.summary(found),
        moment=Moment(
            name=run.name,
            date=text(run.meta.get("started_at")) or "",
            commit=(text(at(run.meta, "git.commit")) or "")[:10],
            groups=found,
        ),
        failures=surroundings.failures(found),
        machine=surroundings.machine(run.meta),
        software=surroundings.software(plain),
        fairness=surroundings.fairness(plain),
        absent=surroundings.absent(plain),
        cells=cell_data(((group, cell) for group in found for cell in group.cells), whole(run.meta.get("repeats"))),
    )


def facts(meta: Mapping[str, Any], plain: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """What was run, when, on what, how often; what the run does not say is left out."""
    if command := [text(word) or "" for word in items(meta.get("command"))]:
        yield "Command", shlex.join(command)
    if date := _date(meta.get("started_at")):
        yield "Started", date
    cpu, cores = text(at(meta, "machine.cpu")), whole(at(meta, "machine.cores_physical"))
    if cpu:
        yield "Machine", f"{cpu}, {plural(cores, 'core')}" if cores else cpu
    if merged := [text(at(one, "name")) or "?" for one in items(meta.get("merged"))]:
        yield "Merged from", listed(merged)
    if repeats := whole(meta.get("repeats")):
        each = f"{plural(repeats, 'repeat')} of each cell"
        yield "Measured", f"{plural(len(plain), 'record')}, {each}, each in a process of its own"
    commit, dirty = text(at(meta, "git.commit")), at(meta, "git.dirty")
    version = f"samestep {text(meta.get('samestep')) or '?'}"
    yield "Version", f"{version}, commit {commit[:10]}{' with changes' if dirty is True else ''}" if commit else version


def _date(value: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return text(value)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def notices(meta: Mapping[str, Any], found: Sequence[Group], plain: Sequence[Row]) -> Iterator[str]:
    """What a reader must know before the numbers."""
    if not plain:
        yield "This run holds no records."
    planned = {text(one) for one in items(meta.get("plan"))}
    if missing := planned - {row["cell_id"] for row in plain}:
        yield f"The run did not finish: {len(missing)} of {plural(len(planned), 'planned cell')} left no record."
    for again in items(meta.get("resumed")):
        if at(again, "forced") is True and (changed := [text(one) or "" for one in items(at(again, "changes"))]):
            yield f"The run went on by force although something had changed: {'; '.join(changed)}."
    if forced := [text(one) or "?" for one in items(meta.get("forced"))]:
        yield f"Runs were merged by force although they do not belong together: {'; '.join(forced)}."
    for group in found:
        starts = {row["start"] for cell in group.cells for row in cell.ok if row["start"]}
        if len(starts) > 1:
            yield f"{group.title}: some processes were forked with the framework already imported, some started cold."


def render(parts: Sequence[Part]) -> str:
    """The page's HTML."""
    merged = {name: cell for one in parts for name, cell in one.cells.items()}
    return html.render(
        "page.html",
        title=title(parts),
        parts=parts,
        filters=filters(merged.values()),
        data=html.pack({"cells": merged, **drawn(parts)}),
        summary=SUMMARY,
        included=INCLUDED,
        trend=trend_of(parts),
    )


def trend_of(parts: Sequence[Part]) -> list[Section]:
    """How cells went from run to run, where several runs hold them."""
    impls = [cell["impl"] for one in parts for cell in one.cells.values()]
    found = trend.section([one.moment for one in parts], layout.colours(impls))
    return [found] if found.panels else []


def drawn(parts: Sequence[Part]) -> dict[str, Any]:
    """What the page's script draws and builds: figures and tables by their element's id."""
    sections = [*trend_of(parts), *(section for one in parts for section in one.sections)]
    return {
        "figures": {
            f"{section.id}-{n}": panel.figure for section in sections for n, panel in enumerate(section.panels, 1)
        },
        "tables": {section.id: html.plain(section.table, section.title) for section in sections}
        | {f"summary-{place}": html.plain(one.summary, SUMMARY) for place, one in enumerate(parts, 1) if one.long},
        "answers": {
            f"answer-{place}-{n}": [cell.id for cell in board.cells]
            for place, one in enumerate(parts, 1)
            for n, (board, _) in enumerate(one.boards, 1)
        },
    }


def title(parts: Iterable[Part]) -> str:
    names = list(dict.fromkeys(name for one in parts for name, _ in one.legend))
    return f"The same training step in {listed(names)}" if names else "The same training step"
