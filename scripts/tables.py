"""Put the result of `bench verify --json` into docs/parity.md, and its proofs into the package.

    python -m bench verify --json > FILE; python scripts/tables.py FILE [--ship]

Exit 1 if a row differs. With --ship the proofs that the run left in `$SAMESTEP_CACHE` go into
`bench/shipped/proofs.json`, for machines that have one framework only. They fit this source and these versions alone:
after a change, verify again.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import cache

PAGE = Path(__file__).parents[1] / "docs" / "parity.md"
MARKS = ("<!-- verify: made by `make verify-all` -->", "<!-- end of verify -->")


def main(arguments: Sequence[str]) -> None:
    rows = [json.loads(line) for line in Path(arguments[0]).read_text(encoding="utf-8").splitlines()]
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    lines = [
        "| workload | optimizer | impl | precision | steps | losses | parameters | slots | against |",
        "|---|---|---|---|---|---|---|---|---|",
        *(line(row) for row in rows),
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
        ship()


def line(row: dict[str, Any]) -> str:
    numbers = ["–" if row[name] is None else f"{row[name]:.1e}" for name in ("loss", "param", "slot")]
    against = row["against"] if row["equal"] else f"**{row['reason']}**"
    cell = (f"{row['workload']}/{row['size']}", row["optimizer"], f"{row['impl']} {row['variant']}", row["precision"])
    return f"| {' | '.join([*cell, str(row['steps']), *numbers, against])} |"


def ship() -> None:
    proofs = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in cache.folder("proofs").glob("*.json")}
    cache.SHIPPED.mkdir(exist_ok=True)
    (cache.SHIPPED / "proofs.json").write_text(json.dumps(proofs, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(proofs)} proofs shipped")


if __name__ == "__main__":
    main(sys.argv[1:])
