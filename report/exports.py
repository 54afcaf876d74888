"""A run as a flat table, one row a record: what `bench export` gives. `results/README.md` lists the columns."""

import html
import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench import store
from bench.store import Run, WrongInput
from bench.text import plain
from report.columns import FLAT
from report.files import save
from report.frame import Row, frame, priced, rows

FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # spreadsheets run text that starts with one of these
SHOWN = (  # columns of the Markdown table: all would be too wide to read
    "workload", "size", "impl", "variant", "precision", "devices", "repeat", "status", "verdict", "throughput_per_s",
    "step_s", "host_memory_bytes", "device_memory_bytes", "cold_start_s", "cell_id", "reason",
)  # fmt: skip


def export(run: Path, format: str, out: Path | None, *, price: float | None = None) -> None:
    """Write a run as a flat table, one row a record, to a file or to standard output.

    A price of a device's hour that is given here stands for that of the records.

    Raises:
        WrongInput: no such format, no such run, a package that is not installed, or a file that cannot be written.
    """
    if format not in FORMATS:
        raise WrongInput(f"no format {format}; --format takes {', '.join(FORMATS)}")
    if format == "parquet" and out is None and sys.stdout.isatty():
        raise WrongInput("parquet is no text: name a file with -o, or send the output into one")
    content = FORMATS[format](flat([priced(store.load(run), price)]))
    if out:
        save(out, content)
    elif isinstance(content, bytes):
        sys.stdout.buffer.write(content)
    else:
        sys.stdout.write(shown(content) if sys.stdout.isatty() else content)


def shown(content: str) -> str:
    """The text as a terminal may have it, line by line."""
    return "".join(f"{plain(line)}\n" for line in content.removesuffix("\n").split("\n"))


def flat(runs: Sequence[Run]) -> pd.DataFrame:
    """The columns that exports hold."""
    return frame(runs)[[column.name for column in FLAT]]


def iso(found: pd.DataFrame) -> pd.DataFrame:
    """The frame with its times as ISO 8601."""
    times = [None if pd.isna(one) else one.isoformat() for one in found["started_at"]]
    return found.assign(started_at=pd.Series(times, dtype="string"))


def to_csv(found: pd.DataFrame) -> str:
    """Comma-separated values; text that a spreadsheet would run as a formula gets an apostrophe before it."""
    safe = {column.name: [_unarmed(one) for one in found[column.name]] for column in FLAT if column.kind == "text"}
    return iso(found).assign(**safe).to_csv(index=False, lineterminator="\n")


def _unarmed(value: Any) -> Any:
    """No formula, and within it no line of its own: CSV quotes a line feed, and a carriage return it does not."""
    if not isinstance(value, str):
        return value
    found = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{found}" if FORMULA.match(value) else found


def to_json(found: pd.DataFrame) -> str:
    """A list of objects, null where a value is missing."""
    return json.dumps([_encoded(row) for row in rows(iso(found))], indent=1) + "\n"


def _encoded(row: Row) -> dict[str, Any]:
    infinite = {float("inf"): "inf", float("-inf"): "-inf"}  # as records write them
    return {name: infinite.get(value, value) if isinstance(value, float) else value for name, value in row.items()}


def to_parquet(found: pd.DataFrame) -> bytes:
    """Apache Parquet, with the frame's own types: text, whole numbers, numbers, times."""
    target = io.BytesIO()
    try:
        found.to_parquet(target, engine="pyarrow", index=False)
    except ImportError as error:
        raise WrongInput("pyarrow is not installed: pip install 'samestep[parquet]'") from error
    return target.getvalue()


def to_markdown(found: pd.DataFrame) -> str:
    """A table for a pull request: of each record the columns that `SHOWN` names."""
    lines = [f"| {' | '.join(SHOWN)} |", f"|{' --- |' * len(SHOWN)}"]
    for row in rows(found[list(SHOWN)]):
        lines.append(f"| {' | '.join(_readable(value) for value in row.values())} |")
    return "\n".join(lines) + "\n"


def _readable(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else literal(str(value))


def literal(text: str) -> str:
    """Text that Markdown shows as it stands: one line, no tags, no links, no table's end."""
    return re.sub(r"([\\`*_\[\]|~#!@])", r"\\\1", html.escape(plain(text), quote=False))


FORMATS: Mapping[str, Callable[[pd.DataFrame], str | bytes]] = {
    "csv": to_csv,
    "parquet": to_parquet,
    "json": to_json,
    "markdown": to_markdown,
}
