"""A comparison as text: for a terminal, and as Markdown for a pull request."""

from collections import Counter
from collections.abc import Iterator, Sequence

from bench.stats import MIN_REPEATS, Estimate
from bench.text import plain
from bench.units import digits
from report.cells import FRAMEWORKS, plural
from report.compare.comparison import Compared
from report.compare.differences import RATE, Difference, mean_ratio
from report.exports import literal

HEAD = ("cell", "metric", "NEW / BASE", "95 % interval", "p (Holm)", "verdict", "would have seen", "repeats", "but")
WORDS = ("slower", "more", "faster", "less", "same", "undecided")


def summary(found: Compared) -> str:
    """The comparison in one sentence: how many ratios of which verdict."""
    counts = Counter(one.verdict for one in found.found if one.metric.name == RATE)
    told = ", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word])
    unjudged = sum(one.p is None for one in found.found if one.metric.name == RATE)
    few = f"; {unjudged} with too few repeats for a verdict, which takes {MIN_REPEATS}" if unjudged else ""
    return f"Throughput of {plural(sum(counts.values()), 'pair')} of cells: {told or 'nothing compared'}{few}."


def means(found: Sequence[Difference]) -> list[tuple[str, Estimate]]:
    """The geometric mean of the throughput's ratio, by the framework of the newer cell.

    Over the pairs that could be judged, if there are any: what ran but once, as emulated devices do, stays out.
    """
    judged = any(one.p is not None for one in found if one.metric.name == RATE)
    by_impl: dict[str, list[Difference]] = {}
    for one in found:
        if one.metric.name == RATE and (one.p is not None or not judged):
            by_impl.setdefault(one.pair.new.impl, []).append(one)
    return [(FRAMEWORKS.get(impl, impl), mean) for impl, of in by_impl.items() if (mean := mean_ratio(of))]


def line(one: Difference) -> list[str]:
    """A difference in the columns of `HEAD`."""
    within = one.pair.base.id != one.pair.new.id
    label = f"{one.pair.group.title}, {one.pair.new.label}, {one.pair.group.setting}"
    return [
        f"{label}, against {base_name(one)}" if within else label,
        one.metric.label,
        f"{one.found.ratio:.3f}",
        interval(one),
        "-" if one.p is None else f"{one.p:.2g}",
        one.verdict,
        "-" if one.visible is None else size(one.visible),
        f"{one.found.counts[1]} and {one.found.counts[0]}",
        "; ".join(one.cautions),
    ]


def base_name(one: Difference) -> str:
    """The base of a pair within a run, with its precision where that differs."""
    base, new = one.pair.base, one.pair.new
    before, after = (cell.rows[0]["precision"] for cell in (base, new))
    return base.label if before == after else f"{base.label} {before}"


def interval(one: Difference) -> str:
    found = one.found
    return "-" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"


def size(share: float) -> str:
    """A difference for people: percent, or where that misleads a factor."""
    return f"{digits(100 * share)} %" if share < 1 else f"a factor of {digits(1 + share)}"


def worse(one: Difference) -> str:
    return f"{100 * one.worse_by:.1f} % worse (ratio {one.found.ratio:.3f}, {interval(one)})"


def mean_text(mean: Estimate) -> str:
    bounds = "" if mean.low is None or mean.high is None else f" ({mean.low:.3f} to {mean.high:.3f})"
    return f"{mean.mean:.3f}{bounds} over {plural(mean.count, 'pair')}"


def lists(found: Compared) -> Iterator[tuple[str, Sequence[str]]]:
    """What was not compared, and what fails the gate; only those that hold anything."""
    matched = found.matching
    for title, names in (
        ("Newly failing", matched.failing),
        ("Newly diverged", matched.diverged),
        ("Not compared, as they train something else (spec_hash)", matched.unlike),
        ("Only in NEW", matched.added),
        ("Only in BASE", matched.removed),
        ("Regressed", found.regressions),
    ):
        if names:
            yield title, names


def gate(found: Compared) -> str | None:
    """What `--fail-on-regression` came to."""
    if found.threshold is None:
        return None
    if found.regressions:
        return f"{plural(len(found.regressions), 'regression')} past {size(found.threshold)}."
    return f"No regression past {size(found.threshold)} that noise does not explain."


def terminal(found: Compared) -> str:
    """Blocks of aligned text."""
    blocks = [plain(found.title), summary(found)]
    if found.changes:
        blocks.append("\n".join(["What differs", *columns([("", "BASE", "NEW"), *found.changes])]))
    blocks.append("\n".join(columns([HEAD, *map(line, found.found)])))
    if told := means(found.found):
        blocks.append(
            "\n".join(
                [
                    "Geometric mean of throughput, NEW / BASE",
                    *(f"  {plain(who)}: {mean_text(mean)}" for who, mean in told),
                ]
            )
        )
    blocks += ["\n".join([title, *(f"  {plain(name)}" for name in names)]) for title, names in lists(found)]
    return "\n\n".join([*blocks, *([told] if (told := gate(found)) else [])])


def columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in aligned columns; a column that is empty below its head is left out."""
    rows = [[shortened(plain(cell)) for cell in row] for row in table]
    kept = [n for n in range(len(rows[0])) if n == 0 or any(row[n] for row in rows[1:])]
    widths = [max(len(row[n]) for row in rows) for n in kept]
    return ["  ".join(row[n].ljust(width) for n, width in zip(kept, widths, strict=True)).rstrip() for row in rows]


def shortened(cell: str) -> str:
    return cell if len(cell) <= 100 else f"{cell[:99]}…"


def markdown(found: Compared) -> str:
    """For GitHub: tables, and what was not compared as lists."""
    blocks = [f"### {literal(found.title)}", literal(summary(found))]
    if found.changes:
        blocks.append("\n".join(table([("what differs", "BASE", "NEW"), *found.changes])))
    blocks.append("\n".join(table([HEAD, *map(line, found.found)])))
    if told := means(found.found):
        rows = [(who, mean_text(mean)) for who, mean in told]
        blocks.append("\n".join(table([("framework", "geometric mean of throughput, NEW / BASE"), *rows])))
    blocks += [
        "\n".join([f"**{title}**", "", *(f"- {literal(name)}" for name in names)]) for title, names in lists(found)
    ]
    return "\n\n".join([*blocks, *([f"**{told}**"] if (told := gate(found)) else [])])


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    kept = [n for n in range(len(rows[0])) if n == 0 or any(row[n] for row in rows[1:])]
    for place, row in enumerate(rows):
        yield f"| {' | '.join(literal(row[n]) for n in kept)} |"
        if place == 0:
            yield f"|{' --- |' * len(kept)}"
