"""Put what the fault suite tried into docs/reliability.md: python scripts/faults.py, after `pytest` on tests/faults."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUILD, PAGE = ROOT / "build", ROOT / "docs" / "reliability.md"
MARKS = ("<!-- faults: made by `make faults` -->", "<!-- end of faults -->")


def together(parts: Iterable[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """What the processes of a suite have tried, added up."""
    tried: dict[str, dict[str, Any]] = {}
    for part in parts:
        for fault, one in part.items():
            before = tried.get(fault, {"times": 0, "outcome": one["outcome"]})
            if before["outcome"] != one["outcome"]:
                raise ValueError(f"{fault}: {before['outcome']} in one test, {one['outcome']} in another")
            tried[fault] = {**one, "times": before["times"] + one["times"]}
    return tried


def table(tried: dict[str, dict[str, Any]]) -> str:
    """A row for each fault, in the order of the alphabet: how often it was tried, and what came of it each time."""
    lines = [f"| {fault} | {one['times']} | {one['outcome']} |" for fault, one in sorted(tried.items())]
    return "\n".join(["| fault | tried | outcome |", "|---|---|---|", *lines])


def main() -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(BUILD.glob("faults-*.json"))]
    made = table(together(parts))
    PAGE.write_text(f"{before}{MARKS[0]}\n{made}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
