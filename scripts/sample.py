"""Prove anew what has no valid shipped result, and a sample of the rest: `make verify` in a tenth of its time.

    python scripts/sample.py TEXT [--devices 8] [--workload NAME] [--size NAME]

TEXT draws the sample; continuous integration gives the commit. Exit 1 if a row differs, if a shipped result is not
what was found now, or if proofs that should have been shipped are of another source.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import manifests, verify
from bench.commands.options import split
from bench.manifests import Manifest
from bench.plan import Choice
from bench.proof import cache, groups
from bench.proof.groups import Group, Row
from scripts.tables import kept, line, stale_proofs

TIMEOUT_S = 600.0


def prove_sample(choice: Choice, text: str, found: Mapping[str, Manifest]) -> list[str]:
    """What is wrong, one line each; prints how much was taken over and how much was proven anew."""
    planned = groups.plan_groups(choice, None, found)
    shipped = {group.key: rows for group in planned if (rows := groups.taken_over(group)) is not None}
    stale = [group for group in planned if group.key not in shipped]
    drawn = groups.sample([group for group in planned if group.key in shipped], text)
    rows = verify.prove([*stale, *drawn], TIMEOUT_S, found)
    print(
        f"{cells(planned) - len(rows)} rows taken over from shipped results, {len(rows)} proven anew: "
        f"{cells(stale)} without a valid shipped result, {cells(drawn)} drawn by {text}"
    )
    if not rows:
        return ["nothing was proven: no framework is installed, or nothing was chosen"]
    before = {row.cell: row for group in drawn for row in shipped[group.key]}
    return [fault for row in rows if (fault := fault_of(row, before))]


def cells(chosen: Sequence[Group]) -> int:
    return sum(len(group.cells) for group in chosen)


def fault_of(row: Row, shipped: Mapping[object, Row]) -> str | None:
    """Why a row that was proven anew fails, or None."""
    why = groups.contradiction(shipped[row.cell], row) if row.cell in shipped else None if row.equal else row.reason
    return why and f"{line(verify.plain(row))} {why}"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("text")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--workload", default="all")
    parser.add_argument("--size")
    given = parser.parse_args(arguments)
    if not given.text.strip():
        parser.error("TEXT is empty: give what draws the sample, such as a commit")
    choice = Choice(workload=split(given.workload), size=given.size, devices=given.devices)
    faults = prove_sample(choice, given.text, manifests.find())
    if stale := stale_proofs(kept("proofs"), cache.shipped("proofs")):
        faults.append(f"{stale} proofs that ship with the package are of another source: run `make proofs`")
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main(sys.argv[1:])
