"""`bench compare`: two runs, or one by framework, precision or variant; in the terminal, as Markdown, as a page."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from bench import store
from bench.store import Run, WrongInput
from report.compare import changes, matching, page, writing
from report.compare.comparison import Compared
from report.compare.differences import Difference, differences
from report.compare.matching import Matching
from report.files import save
from report.frame import frame, priced, rows

FORMATS = {"table": writing.terminal, "markdown": writing.markdown}


def compare(
    runs: Sequence[Path],
    *,
    by: str | None,
    base: str | None,
    format: str,
    out: Path | None,
    threshold: float | None,
    price: float | None = None,
) -> bool:
    """Compare, print, and write the page if one is asked for; whether nothing regressed past the threshold.

    A price of a device's hour that is given here stands for that of the records.

    Raises:
        WrongInput: arguments that do not go together, runs that cannot be read or have nothing in common.
    """
    check(runs, by, base, threshold)
    found = within(runs[0], by, base, price) if by else between(runs[0], runs[1], threshold, price)
    if out:
        save(out, page.render(found))
    print(FORMATS[format](found))
    return not found.regressions


def check(runs: Sequence[Path], by: str | None, base: str | None, threshold: float | None) -> None:
    """Raises WrongInput where the arguments do not go together."""
    if by and len(runs) > 1:
        raise WrongInput("--by compares within one run: give one folder, or two without --by")
    if by and threshold is not None:
        raise WrongInput("--fail-on-regression needs a BASE and a NEW run: within one run nothing can regress")
    if base and not by:
        raise WrongInput("--base says what --by compares with: give --by impl, precision or variant too")
    if len(runs) != (1 if by else 2):
        raise WrongInput("give two runs, BASE and NEW; or one with --by impl, precision or variant")
    if len(runs) == 2 and runs[0].resolve() == runs[1].resolve():
        raise WrongInput(f"{runs[0]} is given twice: a run is no different from itself; --by compares within one")


def between(base: Path, new: Path, threshold: float | None, price: float | None = None) -> Compared:
    """NEW against BASE."""
    old, old_said = read(base)
    now, now_said = read(new)
    old_rows, new_rows = (rows(frame([priced(run, price)])) for run in (old, now))
    found = matching.match_runs(old_rows, new_rows)
    if not found.pairs and not found.failing and not found.diverged:
        raise WrongInput(f"{base} and {new} have no cell in common that ran in both: {nothing(found)}")
    told = differences(found.pairs)
    if threshold is not None and not any(one.p is not None for one in told) and not (found.failing or found.diverged):
        raise WrongInput("--fail-on-regression: nothing could be judged, which takes 3 repeats of a cell in both runs")
    return Compared(
        title=f"{now.name} against {old.name}",
        notices=[*old_said, *now_said],
        changes=changes.changes(old, now, old_rows, new_rows),
        matching=found,
        found=told,
        regressions=[] if threshold is None else regressions(told, found, threshold),
        threshold=threshold,
    )


def nothing(found: Matching) -> str:
    if found.unlike:
        return "the same cells train something else (their spec_hash differs), which is never compared"
    return "compare runs of the same workloads, sizes, frameworks and settings"


def within(run: Path, by: str, base: str | None, price: float | None = None) -> Compared:
    """The cells of one run, by one thing in which they differ."""
    found, said = read(run)
    data = frame([priced(found, price)])
    known = sorted({str(value) for value in data[by].dropna()})
    if base and base not in known:
        raise WrongInput(f"--base {base}: no cell of {run} has it; valid: {', '.join(known)}")
    matched = matching.match_within(data, by, base)
    if not matched.pairs:
        raise WrongInput(
            f"{run} has no two cells that ran and differ in {by} alone; it holds {', '.join(known) or 'none'}"
        )
    return Compared(
        title=f"{found.name} by {by}", notices=said, changes=[], matching=matched, found=differences(matched.pairs)
    )


def read(folder: Path) -> tuple[Run, list[str]]:
    """A run, and what its reader warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = store.load(folder)
    said = [str(warning.message) for warning in caught]
    for message in said:
        warnings.warn(message, stacklevel=2)
    return run, said


def regressions(found: Sequence[Difference], matched: Matching, threshold: float) -> list[str]:
    """What is worse beyond noise and by more than the threshold, newly failing or newly diverged."""
    worse = [
        f"{matching.name(one.pair.group, one.pair.new)}: {one.metric.label.lower()} {writing.worse(one)}"
        for one in found
        if one.regressed and one.worse_by > threshold
    ]
    return [
        *worse,
        *(f"newly failing: {one}" for one in matched.failing),
        *(f"newly diverged: {one}" for one in matched.diverged),
    ]
