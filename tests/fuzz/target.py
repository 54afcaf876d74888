"""What a run of a stranger goes through, and the runs to start from."""

import contextlib
import json
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import merge, store
from bench.spec import WrongInput
from report import exports, html, page
from report.compare import command, writing
from report.compare import page as compared
from report.frame import frame

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "data"
EXAMPLE = ROOT / "results" / "example"
FINDINGS = Path(__file__).parent / "findings"
PER_SEED = 3  # records


def read(data: bytes) -> None:
    """Report the run, and compare, export or merge it, which of these its bytes say; raises what never should be."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run, other = (written(Path(scratch) / name, one) for name, one in (("run", data), ("other", SEED)))
        merged = Path(scratch) / "merged"
        further = (
            lambda: page.render([page.part(place, *page.read(one)) for place, one in ((1, run), (2, other))]),
            lambda: all_exports(run),
            lambda: show(command.within(run, "impl", None)),
            lambda: show(command.within(run, "precision", None)),
            lambda: show(command.between(other, run, 0.05)),
            lambda: merge.merge([run, other], merged, force=True),
        )
        for step in (lambda: page.render([page.part(1, *page.read(run))]), further[zlib.crc32(data) % len(further)]):
            with contextlib.suppress(WrongInput):  # one line that says what to do: all else is a mistake of the reader
                step()


def all_exports(run: Path) -> None:
    flat = exports.flat([store.load(run)])
    for convert in exports.FORMATS.values():
        convert(flat)
    frame([store.load(run)])


def show(found: Any) -> None:
    writing.terminal(found)
    writing.markdown(found)
    compared.render(found)


def written(folder: Path, data: bytes) -> Path:
    folder.mkdir()
    meta, _, records = data.partition(b"\n")
    (folder / store.RUN_FILE).write_bytes(meta)
    (folder / store.RECORDS_FILE).write_bytes(records)
    return folder


def seeds() -> Iterator[bytes]:
    """Real runs: of every older schema, and some records of the example, of each kind and length."""
    for run in (*sorted(path.parent for path in OLD.glob("*/run.json")), EXAMPLE):
        meta = json.dumps(json.loads((run / store.RUN_FILE).read_bytes())).encode()
        lines = sorted((run / store.RECORDS_FILE).read_bytes().splitlines(), key=kind)
        places = range(0, len(lines), max(PER_SEED, len(lines) // 4))
        yield from (b"\n".join([meta, *lines[place : place + PER_SEED]]) + b"\n" for place in places)


def kind(line: bytes) -> tuple[Any, ...]:
    """Cells that can be compared lie beside each other, so that a seed holds some."""
    cell = json.loads(line)["cell"]
    return (
        cell["devices"],
        cell["engine"],
        cell["workload"],
        cell["precision"],
        json.loads(line)["repeat"],
        cell["impl"],
    )


def without_plotly() -> None:
    """Pages without their five megabytes of plotly.js, which no record has a part in."""
    html.plotly_js = lambda: ""


SEED = next(seeds())
