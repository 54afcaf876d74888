"""What a page is made of: sections of charts, each chart with its words, each section with its table."""

from collections.abc import Sequence
from dataclasses import dataclass

from report.layout import Figure

NONE = "-"  # in a table, where there is no value


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a table; struck out where the cell diverged."""

    values: Sequence[str]
    struck: bool = False
    cell: str | None = None  # ids of the cells that it tells of, for the filters


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to show; `numeric` columns are aligned to the right."""

    head: Sequence[str]
    lines: Sequence[Line]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart: its figure, and the same in words for those who do not see it."""

    title: str
    setting: str
    caption: str
    alt: str
    figure: Figure  # traces say whose points they draw: see `layout.whose`


@dataclass(frozen=True, kw_only=True)
class Section:
    """Charts of one kind, with their table; a folded one opens on demand."""

    id: str
    title: str
    intro: str
    panels: Sequence[Panel]
    table: Table
    folded: bool = False
    wide: bool = False  # its panels need more room than bars do
    key: Sequence[tuple[str, str]] = ()  # hatches by their name in the style sheet, and what each stands for
