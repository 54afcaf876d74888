"""What a comparison came to: all that its table, its Markdown and its page tell."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from report.compare.differences import Difference
from report.compare.matching import Matching


@dataclass(frozen=True, kw_only=True)
class Compared:
    """All that is told of a comparison."""

    title: str
    notices: Sequence[str]
    changes: Sequence[tuple[str, str, str]]
    matching: Matching
    found: Sequence[Difference]
    regressions: Sequence[str] = field(default_factory=list[str])  # why `--fail-on-regression` fails
    threshold: float | None = None
