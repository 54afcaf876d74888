"""The answer in words: which framework is fastest at which precision, by how much, at what memory, and what proves it.

A winner is named only where it is told from every other cell of its group, with Holm's correction over these
comparisons; below three repeats nothing is told, and so there is no winner.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.stats import MIN_REPEATS
from bench.units import digits, scaled, share, shown
from report.cells import SAME, WORST_FIRST, Cell, Group, apart, estimate, listed, ratio, short
from report.neighbours import values

RATE = "throughput_per_s"
MEMORY = ("device_memory_bytes", "host_memory_bytes")  # the first that was measured
UNPROVEN = {
    "consistent": "is consistent, not proven",
    "diverged": "diverged and is left out of the ranking",
    "unchecked": "is unchecked",
}
NAMED = 3  # cells that a sentence names; of more it gives the number
Kind = Literal["winner", "noise", "few", "alone", "none"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the page opens with for one group."""

    headline: str  # who is fastest, or why nobody is
    details: Sequence[str]  # one sentence a cell
    proof: Sequence[str]  # whether the steps are the same
    verdict: str  # the worst of the cells that ran; none ran: unchecked
    winner: str | None  # framework of the winner
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Board:
    """The answer for one task: what is trained on which devices, at every precision that was measured."""

    title: str
    setting: str
    overall: Answer
    precisions: Sequence[tuple[str, Answer]]  # empty where there is but one
    cells: Sequence[Cell]
    further: bool  # on several devices, or their base: shown on demand


def boards(groups: Sequence[Group]) -> list[Board]:
    """One a task, in the order of the groups."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        task = repr([group.first[name] for name in SAME if name != "precision"])
        found.setdefault(task, []).append(group)
    return [_board(members) for members in found.values()]


def _board(members: Sequence[Group]) -> Board:
    first, several = members[0], len(members) > 1
    together = Group(
        cells=[
            replace(cell, label=short(f"{cell.label} {group.precision}") if several else cell.label)
            for group in members
            for cell in group.cells
        ]
    )
    row = first.first
    return Board(
        title=first.title,
        setting=first.common if several else first.setting,
        overall=answer(together),
        precisions=[(group.precision, answer(group)) for group in members] if several else [],
        cells=together.cells,
        further=(row["devices"] or 1) > 1 or row["engine"] == "distributed",
    )


def answer(group: Group) -> Answer:
    """The group's answer."""
    ranked, ran = group.ranked, [cell for cell in group.cells if cell.ok]
    kind = _kind(ranked)
    headline, told = _headline(kind, ranked, group)
    slower = [_slower(cell, ranked[0], group) for cell in ranked if cell not in told]
    return Answer(
        headline=headline,
        details=[*slower, *(_missing(cell) for cell in group.cells if not cell.ok)],
        proof=proof(ran),
        verdict=min((cell.verdict for cell in ran), key=WORST_FIRST.index, default="unchecked"),
        winner=ranked[0].impl if kind == "winner" else None,
        kind=kind,
    )


def _kind(ranked: Sequence[Cell]) -> Kind:
    if len(ranked) < 2:
        return "alone" if ranked else "none"
    found = apart(ranked[0], ranked[1:], RATE)
    if all(found):
        return "winner"
    return "few" if None in found else "noise"


def _headline(kind: Kind, ranked: Sequence[Cell], group: Group) -> tuple[str, Sequence[Cell]]:
    """The first sentence, and the cells that it gives the rate of."""
    rates = [f"{cell.label} ({rate(cell, group)})" for cell in ranked]
    match kind:
        case "none":
            return "No result: no cell finished with a step that can be ranked.", ranked
        case "alone":
            return f"{ranked[0].label} alone: {rate(ranked[0], group)}. There is nothing to compare it with.", ranked
        case "winner":
            return f"{ranked[0].label} is fastest: {rate(ranked[0], group)}{_memory(ranked[0])}.", ranked[:1]
        case "few" if len(ranked) > NAMED:
            told = f"the highest rate is that of {rates[0]}"
            return f"No winner is named, as an interval takes {MIN_REPEATS} repeats; {told}.", ranked
        case "few":
            return f"No winner is named, as an interval takes {MIN_REPEATS} repeats: {listed(rates)}.", ranked
        case "noise":
            told = apart(ranked[0], ranked[1:], RATE)
            tied = [0, *(n for n, one in enumerate(told, 1) if not one)]
            more = len(tied) - NAMED
            names = listed([*(rates[n] for n in tied[:NAMED]), *([f"{more} more"] if more > 0 else [])])
            return f"No winner: {names} are within noise of each other.", [ranked[n] for n in tied]


def _memory(cell: Cell) -> str:
    """With how much memory, as in `, with 412 MiB over the baseline`."""
    name = next((name for name in MEMORY if values(cell.ok, name)), None)
    if name is None:
        return ""
    found = estimate(cell, name)
    where = "of the device's memory" if name == MEMORY[0] else "of memory over the baseline"
    return f", with {scaled(found.mean, 'B')} {where}" if found else ""


def _slower(cell: Cell, fastest: Cell, group: Group) -> str:
    """How many times the cell's rate the fastest has."""
    found = ratio(fastest, cell, RATE)
    if found is None:
        return f"{fastest.label} is faster than {cell.label}, {rate(cell, group)}; they share no round."
    bounds = "" if found.low is None or found.high is None else f" ({digits(found.low)} to {digits(found.high)})"
    return f"{fastest.label} has {digits(found.mean)} times{bounds} the rate of {cell.label}, {rate(cell, group)}."


def _missing(cell: Cell) -> str:
    """Why a cell has no result."""
    reason = cell.rows[0]["reason"]
    return f"{cell.label}: {cell.status}{f', {reason}' if reason else ''}."


def rate(cell: Cell, group: Group) -> str:
    """Its throughput with its interval: `3.42 k images/s ± 1.2 %`."""
    return shown(estimate(cell, RATE), group.unit(RATE))


def proof(ran: Sequence[Cell]) -> list[str]:
    """Whether the cells that ran are the same step: one sentence for those proven, one for each other."""
    proven = [cell for cell in ran if cell.verdict == "proven"]
    return [*([_proven(proven, len(ran))] if proven else []), *(_unproven(cell) for cell in ran if cell not in proven)]


def _proven(cells: Sequence[Cell], ran: int) -> str:
    if len(cells) == ran:
        who = {1: "It is", 2: "Both are", 3: "All three are"}.get(ran, f"All {ran} are")
    elif len(cells) > NAMED:
        who = f"{len(cells)} of {ran} are"
    else:
        who = f"{listed([cell.label for cell in cells])} {'is' if len(cells) == 1 else 'are'}"
    found = [row["max_rel_loss_diff"] for cell in cells for row in cell.ok if row["max_rel_loss_diff"] is not None]
    off = f"; no loss of the first steps is more than {share(max(found))} off float64" if found else ""
    return f"{who} proven to be the same step{off}."


def _unproven(cell: Cell) -> str:
    reason = cell.verdict_row["verdict_reason"]
    return f"{cell.label} {UNPROVEN[cell.verdict]}{f': {reason}' if reason else ''}."
