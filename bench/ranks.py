"""A cell of several processes: what each is asked, and one outcome from what they found."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.machine.energy import Reading
from bench.spec import Request

ENDED = "ended, as another process of the cell had failed"
DEVICE, HOST = ("device_peak", "device_steady"), ("host_peak", "host_steady", "host_baseline")  # parts of the memory


@dataclass(kw_only=True)
class Outcome:
    """What came back from a cell: fields of its record, and reasons for those that are null."""

    fields: dict[str, Any]
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    begun_at: float = 0.0  # by the clock of windows
    joules: Sequence[Reading] = ()  # of the counters of energy, while it ran
    told_at: float = 0.0  # by the monotonic clock; 0 of a process that ended without a word: others noticed after it

    @property
    def ok(self) -> bool:
        return self.fields["status"] == "ok"

    @classmethod
    def failed(cls, status: str, reason: str) -> "Outcome":
        return cls(fields={"status": status, "reason": reason})


def requests(request: Request, count: int) -> list[Request]:
    """One request for each of so many processes, which share the cores.

    Each has cores of its own where there are enough, else one thread on any of them.
    """
    folder, cpus = Path(request.folder), request.cpus
    rendezvous = folder / "rendezvous"
    rendezvous.unlink(missing_ok=True)  # of another cell that had the same folder
    if count == 1:
        return [replace(request, rendezvous=str(rendezvous))]
    return [
        replace(
            request,
            folder=str(folder / f"rank-{rank}"),
            ranks=count,
            rank=rank,
            rendezvous=str(rendezvous),
            threads=max(1, request.threads // count),
            cpus=cpus[rank::count] if len(cpus) >= count else cpus,
        )
        for rank in range(count)
    ]


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """What the processes of one cell found, by rank, as what the cell did.

    A cell of which one process failed has failed as that one did: the first, as others then miss it.
    """
    first, found = outcomes[0], [outcome.fields for outcome in outcomes]
    if len(found) == 1:
        return first
    worst = min(outcomes, key=lambda one: (one.ok, one.fields.get("reason") == ENDED, one.told_at))
    if not worst.ok:
        rank = next(rank for rank, outcome in enumerate(outcomes) if outcome is worst)
        return replace(worst, fields=worst.fields | {"reason": f"rank {rank}: {worst.fields['reason']}"})
    threads = join_threads([one["threads"] for one in found])
    whole = first.fields | {
        "phases_s": {name: max(one["phases_s"].get(name, 0.0) for one in found) for name in first.fields["phases_s"]},
        "ranks": [rank for one in found for rank in one["ranks"]],
        "threads": threads,
    }
    if first.fields.get("windows"):
        shared = len(threads["affinity"] or ()) < sum(len(one["threads"]["affinity"] or ()) for one in found)
        whole["windows"] = [
            windows[0] | join_cpu(windows, shared) for windows in zip(*(one["windows"] for one in found), strict=True)
        ]
        whole["sync_check"] = join_checks([one["sync_check"] for one in found])
    if first.fields.get("memory_bytes"):
        whole["memory_bytes"] = join_memory([one["memory_bytes"] for one in found])
    return replace(first, fields=whole)


def join_cpu(ranks: Sequence[dict[str, Any]], shared: bool) -> dict[str, Any]:
    """Processor seconds of one window, the cell's own and those of others.

    Where the processes share their cores, each has counted what the others used as foreign.
    """
    names = ("cpu_s", "foreign_cpu_s", "steal_s")
    if any(one[name] is None for one in ranks for name in names):
        return dict.fromkeys(names)
    times = 1 / len(ranks) if shared else 1  # that the time of a core is counted in the sum
    own, foreign, steal = (sum(one[name] for one in ranks) for name in names)
    return {"cpu_s": own, "foreign_cpu_s": max(0.0, (own + foreign) * times - own), "steal_s": steal * times}


def join_threads(ranks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Settings of one process; cores and threads of all."""
    cores = {core for one in ranks for core in one["affinity"] or ()}
    totals = [one["total"] for one in ranks]
    return ranks[0] | {"affinity": sorted(cores) or None, "total": None if None in totals else sum(totals)}


def join_checks(ranks: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of the process that waited longest."""
    return {name: max(one[name] for one in ranks) for name in ranks[0]}


def join_memory(ranks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Devices one after another; of the host what the processes hold together."""

    def every(name: str) -> list[Any] | None:
        found = [one[name] for one in ranks]
        return None if None in found else found

    lists = {name: (found := every(name)) and [one for of in found for one in of] for name in DEVICE}
    sums = {name: (found := every(name)) and sum(found) for name in HOST}
    return ranks[0] | lists | sums
