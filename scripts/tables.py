"""Put the result of `bench verify --json` into docs/parity.md, and its proofs into the package.

    python -m bench verify --devices 8 --json > FILE; python scripts/tables.py FILE [--ship]

Exit 1 if a row differs. With --ship what the run left in `$SAMESTEP_CACHE`, an empty folder before it, goes into
`bench/proof/shipped`: `proofs.json`, for machines that have one framework only, and `groups.json`, the results that
`scripts/sample.py` takes over. They fit one source and one set of versions: without --ship, exit 1 if the proofs that
are shipped for the present versions are of another source.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.proof import cache, groups

PAGE = Path(__file__).parents[1] / "docs" / "parity.md"
MARKS = ("<!-- verify: made by `make verify-all` -->", "<!-- end of verify -->")


def main(arguments: Sequence[str]) -> None:
    rows = [json.loads(line) for line in Path(arguments[0]).read_text(encoding="utf-8").splitlines()]
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    lines = [
        "| workload | optimizer | impl | precision | devices | steps | losses | parameters | slots | against |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(line(row) for row in folded(rows)),
    ]
    text = f"{before}{MARKS[0]}\n{chr(10).join(lines)}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"
    PAGE.write_text(text, encoding="utf-8")
    different = [row for row in rows if not row["equal"]]
    print(
        *(f"DIFFERS {line(row)}" for row in different), f"{len(rows) - len(different)} of {len(rows)} equal", sep="\n"
    )
    if different or not rows:
        sys.exit(1)
    if "--ship" in arguments:
        ship("proofs")
        ship(groups.KIND)
    elif stale := stale_proofs(kept("proofs"), cache.shipped("proofs")):
        sys.exit(f"{stale} proofs that ship with the package are of another source: run `make proofs`")


def folded(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for all numbers of devices of a cell that is equal, with the largest differences among them."""
    alike: dict[object, list[dict[str, Any]]] = {}
    for row in rows:
        same = [row[name] for name in ("workload", "size", "optimizer", "impl", "variant", "precision", "engine")]
        key = (*same, row["equal"], *(() if row["equal"] else (row["devices"],)))
        alike.setdefault(key, []).append(row)
    return [
        {
            **group[0],
            **{name: largest(row[name] for row in group) for name in ("loss", "param", "slot")},
            "devices": ", ".join(str(row["devices"]) for row in group),
        }
        for group in alike.values()
    ]


def largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def line(row: dict[str, Any]) -> str:
    numbers = ["–" if row[name] is None else f"{row[name]:.1e}" for name in ("loss", "param", "slot")]
    against = row["against"] if row["equal"] else f"**{row['reason']}**"
    cell = (f"{row['workload']}/{row['size']}", row["optimizer"], f"{row['impl']} {row['variant']}", row["precision"])
    return f"| {' | '.join([*cell, str(row['devices']), str(row['steps']), *numbers, against])} |"


def ship(kind: str) -> None:
    """Put all that the run kept of a kind into the package, in place of what shipped before."""
    made = kept(kind)
    (cache.SHIPPED / f"{kind}.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(made)} {kind} shipped")


def kept(kind: str) -> dict[str, Any]:
    """What the run left in its cache, by key."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in cache.folder(kind).glob("*.json")}


def stale_proofs(made: dict[str, Any], shipped: dict[str, Any]) -> int:
    """How many of the proofs just made should have been shipped: some are, for the same versions, but not these."""
    known = [proof["software"] for proof in shipped.values()]
    return sum(key not in shipped for key, proof in made.items() if proof["software"] in known)


if __name__ == "__main__":
    main(sys.argv[1:])
