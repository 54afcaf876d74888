"""`bench report`, `compare`, `export` and `merge`: what reads runs that there are."""

import gc
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.options import Out, Price
from bench.spec import WrongInput


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.", metavar="RUN…")],
    out: Out = None,
    images: Annotated[Path | None, typer.Option(help="Write each chart as a picture into this folder too.")] = None,
    image_format: Annotated[str, typer.Option(help="png or svg.")] = "png",
    price_per_hour: Price = None,
) -> None:
    """Write one offline HTML file that shows the runs.  [default: report.html in the first run's folder]"""
    target = out or runs[0] / "report.html"
    with no_collection():
        reporter("page").write(runs, target, images, image_format, price=priced(price_per_hour))
    print(target)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two runs; of one with --by.", metavar="BASE NEW")],
    by: Annotated[str | None, typer.Option(help="Within one run: impl, precision or variant.")] = None,
    base: Annotated[str | None, typer.Option(help="With --by: what others are compared with, such as torch.")] = None,
    format: Annotated[str, typer.Option(help="table or markdown.")] = "table",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the comparison as an HTML file too.")] = None,
    fail_on_regression: Annotated[
        str | None, typer.Option(help="Exit 1 if NEW is worse than noise explains, and by more than this, such as 5%.")
    ] = None,
    price_per_hour: Price = None,
) -> None:
    """Tell what changed between two runs, or how the cells of one differ: each ratio with its interval and verdict.

    Examples: bench compare results/monday results/friday --fail-on-regression 5%
    bench compare results/friday --by impl --base torch
    """
    from bench import plan, spec

    spec.one(format, ("table", "markdown"), "format")
    if by:
        spec.one(by, ("impl", "precision", "variant"), "thing to compare by")
    threshold = None if fail_on_regression is None else plan.percentage("fail-on-regression", fail_on_regression)
    command = reporter("compare.command")
    with no_collection():
        ok = command.compare(
            runs, by=by, base=base, format=format, out=out, threshold=threshold, price=priced(price_per_hour)
        )
    raise typer.Exit(0 if ok else 1)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")],
    format: Annotated[str, typer.Option(help="csv, parquet, json or markdown.")] = "csv",
    out: Out = None,
    price_per_hour: Price = None,
) -> None:
    """Print a flat table, one row a record; results/README.md describes its columns."""
    reporter("exports").export(run, format, out, price=priced(price_per_hour))


def merge(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two runs or more.", metavar="RUN RUN…")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new run's folder.")],
    force: Annotated[
        bool, typer.Option("--force", help="Although machines or mathematics differ; the new run says so.")
    ] = False,
) -> None:
    """Make one run of several, such as two nights on the same machine: their records in a new folder.

    Rounds are counted on from run to run, so that none is taken for another's. The runs themselves stay as they are.
    """
    from bench import merge as merger

    print(merger.merge(runs, out, force=force))


def priced(price_per_hour: float | None) -> float | None:
    """The price that is read instead of the records' own; raises WrongInput for one that makes no sense."""
    from bench import plan

    if price_per_hour is not None:
        plan.positive("price-per-hour", price_per_hour)
    return price_per_hour


@contextmanager
def no_collection() -> Generator[None]:
    """Of a short life with many objects, a third would go into looking for cycles among them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def reporter(module: str) -> Any:
    """A module of the report, which needs pandas and plotly."""
    import importlib

    try:
        return importlib.import_module(f"report.{module}")
    except ModuleNotFoundError as error:
        raise WrongInput(f"{error.name} is not installed: pip install 'samestep[report]'") from error
