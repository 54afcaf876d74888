"""Put what the fault suite tried into docs/reliability.md: python scripts/faults.py, after `pytest` on tests/faults."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRIED, PAGE = ROOT / "build" / "faults.json", ROOT / "docs" / "reliability.md"
MARKS = ("<!-- faults: made by `make faults` -->", "<!-- end of faults -->")


def table(tried: dict[str, dict[str, object]]) -> str:
    """A row for each fault, in the order of the alphabet: how often it was tried, and what came of it each time."""
    lines = [f"| {fault} | {one['times']} | {one['outcome']} |" for fault, one in sorted(tried.items())]
    return "\n".join(["| fault | tried | outcome |", "|---|---|---|", *lines])


def main() -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    made = table(json.loads(TRIED.read_text(encoding="utf-8")))
    PAGE.write_text(f"{before}{MARKS[0]}\n{made}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
