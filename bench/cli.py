"""The command line: reads arguments, calls one function a command, turns wrong input into one line and exit 2."""

import gc
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bench.spec import WrongInput
from bench.store import CannotWrite
from bench.text import plain

app = typer.Typer(
    name="bench",
    add_completion=False,
    rich_markup_mode=None,  # its import would double the time of --help
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""The same training step in PyTorch, TensorFlow and JAX: measured, and proven to be the same.

    bench run measures and writes a report, bench verify proves, bench report, bench compare and
    bench export show, bench merge makes one run of several, bench list tells what there is. Lists are
    comma-separated; all is allowed.
    """,
)

Impl = Annotated[str, typer.Option(help="Frameworks: torch, tf, jax.")]
WorkloadName = Annotated[str, typer.Option("--workload", help="What is trained: gan, autoencoder, lm.")]
Size = Annotated[str | None, typer.Option(help="tiny, small, base or large.  [default: tiny on cpu]")]
Variant = Annotated[str | None, typer.Option(help="How the step is run: eager, compile; graph, xla; jit.")]
Precision = Annotated[str | None, typer.Option(help="fp64, fp32, tf32, bf16, fp16.  [default: fp32,bf16 on cpu]")]
Devices = Annotated[int, typer.Option(help="Sweeps 1, 2, 4, … and this many devices; on cpu they are emulated.")]
DeviceCounts = Annotated[str | None, typer.Option(help="Counts of devices instead of a sweep, such as 1,3,8.")]
Batch = Annotated[int | None, typer.Option(help="Samples per device.  [default: the size's own]")]
OptimizerName = Annotated[
    str | None,
    typer.Option(
        "--optimizer",
        help="adam, adamw, rmsprop, rmsprop-centered, sgd or sgd-nesterov; +clip and +cosine after it clip the "
        "gradient and schedule the rate.  [default: the workload's own]",
    ),
]
Timeout = Annotated[float, typer.Option(help="Seconds that one cell may take.")]
IDLE_FLAG, IDLE_CAP_S = "--wait-for-idle", 600.0
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Where to write.")]


@app.command("list")
def list_(
    probe: Annotated[bool, typer.Option("--probe", help="Start each framework and ask it for its devices.")] = False,
) -> None:
    """Show workloads with their sizes, implementations with their versions, devices, and what is missing."""
    from bench import catalogue

    catalogue.show_all()
    if probe:
        catalogue.show_probes()


class WaitsForIdle(TyperCommand):
    """A command whose --wait-for-idle may stand without its number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write the default behind a flag that has no number."""
        filled: list[str] = []
        for word, following in zip(args, [*args[1:], ""], strict=True):
            filled += [word, str(IDLE_CAP_S)] if word == IDLE_FLAG and not is_number(following) else [word]
        return super().parse_args(ctx, filled)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@app.command(cls=WaitsForIdle)
def run(
    ctx: typer.Context,
    impl: Impl = "all",
    workload: WorkloadName = "all",
    size: Size = None,
    variant: Variant = None,
    precision: Precision = None,
    devices: Devices = 1,
    device_counts: DeviceCounts = None,
    scaling: Annotated[
        str, typer.Option(help="weak: the batch of a device stays; strong: that of all together; or both.")
    ] = "weak",
    batch: Batch = None,
    optimizer: OptimizerName = None,
    kernels: Annotated[
        str | None, typer.Option(help="plain: proven in float64; best: fused ones, tested against them.")
    ] = None,
    input: Annotated[
        str, typer.Option(help="Where batches lie: device, or host, copied there by a thread.")
    ] = "device",
    platform: Annotated[str, typer.Option(help="auto, cpu, cuda, rocm or tpu.")] = "auto",
    repeats: Annotated[int, typer.Option(help="Rounds; each measures every cell once, in a new process.")] = 3,
    min_time: Annotated[float, typer.Option(help="Seconds of steady state that are timed in each repeat.")] = 1.0,
    timeout: Timeout = 300.0,
    seed: Annotated[int, typer.Option(help="Of parameters, data, and the order of cells.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run's folder.  [default: results/<time>]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and an estimate of its time.")] = False,
    cold: Annotated[bool, typer.Option("--cold", help="A fresh interpreter for each cell, none forked.")] = False,
    wait_for_idle: Annotated[
        float | None,
        typer.Option(
            IDLE_FLAG, help=f"Wait until the cores are free, or so many seconds ({IDLE_CAP_S:g} if not said)."
        ),
    ] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Do not write report.html.")] = False,
    no_ceilings: Annotated[
        bool, typer.Option("--no-ceilings", help="Do not measure first what the devices attain at most.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the records, one line of JSON each.")] = False,
    a_a: Annotated[
        bool, typer.Option("--a-a", help="Every cell twice, against itself: what noise alone shows.")
    ] = False,
    target_ci: Annotated[
        str | None,
        typer.Option(help="Repeat a cell until the interval of its step time is within ± this, such as 2%."),
    ] = None,
    max_repeats: Annotated[int, typer.Option(help="Rounds at most, with --target-ci.")] = 20,
    find_max_batch: Annotated[
        bool,
        typer.Option(
            "--find-max-batch", help="Search for the largest batch that fits, from --batch on; each try once."
        ),
    ] = False,
    max_batch: Annotated[
        int | None, typer.Option(help="Samples per device at most, with --find-max-batch.  [default: 1048576]")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this run: measure what its plan lacks, or the part that other options choose."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --resume: although plan, mathematics or machine changed.")
    ] = False,
) -> None:
    """Measure cells: every framework, workload and precision asked for, each proven to train the same way.

    Without --variant each framework runs its default on the platform; all runs every one.
    Example: bench run --impl torch,jax --workload lm --repeats 5
    """
    from bench import manifests, plan, search
    from bench import run as runner

    choice = chosen(
        impl=impl, workload=workload, size=size, variant=variant, precision=precision, devices=devices,
        device_counts=device_counts, scaling=scaling, batch=batch, optimizer=optimizer, kernels=kernels, input=input,
        platform=platform, seed=seed,
    )  # fmt: skip
    settings = runner.Settings(
        repeats=repeats, min_time_s=min_time, timeout_s=timeout, out=out, cold=cold, report=not no_report, json=json,
        a_a=a_a, max_repeats=max_repeats,
        target_ci=None if target_ci is None else plan.percentage("target-ci", target_ci),
        wait_for_idle_s=wait_for_idle, ceilings=not no_ceilings,
        find_max_batch=(search.MOST if max_batch is None else max_batch) if find_max_batch else None,
    )  # fmt: skip
    runner.check_settings(settings)
    if force and not resume:
        raise WrongInput("--force goes with --resume RUN: it goes on with a run although something changed")
    if resume:
        if out or dry_run:
            raise WrongInput("--resume goes on in the run's own folder: leave --out and --dry-run away")
        asked = {
            name for name in ctx.params if (source := ctx.get_parameter_source(name)) and source.name == "COMMANDLINE"
        }
        raise typer.Exit(runner.resume(resume, manifests.find(), force=force, **only(asked, choice, settings)))
    if dry_run:
        runner.dry_run(choice, settings, manifests.find())
    else:
        raise typer.Exit(runner.run(choice, settings, manifests.find()))


@app.command()
def verify(
    impl: Impl = "all",
    workload: WorkloadName = "all",
    size: Size = None,
    variant: Variant = None,
    precision: Precision = None,
    devices: Devices = 1,
    device_counts: DeviceCounts = None,
    optimizer: OptimizerName = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows, one line of JSON each.")] = False,
    steps: Annotated[int | None, typer.Option(help="Steps to compare.  [default: 20 at tiny, else 3]")] = None,
    timeout: Timeout = 300.0,
) -> None:
    """Prove that the frameworks compute the same step: in float64 to rounding, in float32 within its own.

    Exits with 1 if anything differs. By default everything: fp64 and fp32, every workload at every size with its
    own optimizer, base and large by a twin of an eighth of their width; then every optimizer on the autoencoder.
    """
    from bench import manifests
    from bench import verify as verifier

    choice = chosen(
        impl=impl, workload=workload, size=size, variant=variant, precision=precision, devices=devices,
        device_counts=device_counts, optimizer=optimizer,
    )  # fmt: skip
    verifier.check(steps, timeout)
    rows = verifier.verify(choice, steps, timeout, manifests.find())
    if json:
        import json as encoder

        print("\n".join(encoder.dumps(verifier.plain(row)) for row in rows))
    else:
        verifier.table(rows)
    raise typer.Exit(0 if rows and all(row.equal for row in rows) else 1)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.", metavar="RUN…")],
    out: Out = None,
    images: Annotated[Path | None, typer.Option(help="Write each chart as a picture into this folder too.")] = None,
    image_format: Annotated[str, typer.Option(help="png or svg.")] = "png",
) -> None:
    """Write one offline HTML file that shows the runs.  [default: report.html in the first run's folder]"""
    target = out or runs[0] / "report.html"
    with no_collection():
        reporter("page").write(runs, target, images, image_format)
    print(target)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two runs; of one with --by.", metavar="BASE NEW")],
    by: Annotated[str | None, typer.Option(help="Within one run: impl, precision or variant.")] = None,
    base: Annotated[str | None, typer.Option(help="With --by: what others are compared with, such as torch.")] = None,
    format: Annotated[str, typer.Option(help="table or markdown.")] = "table",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the comparison as an HTML file too.")] = None,
    fail_on_regression: Annotated[
        str | None, typer.Option(help="Exit 1 if NEW is worse than noise explains, and by more than this, such as 5%.")
    ] = None,
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
        ok = command.compare(runs, by=by, base=base, format=format, out=out, threshold=threshold)
    raise typer.Exit(0 if ok else 1)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")],
    format: Annotated[str, typer.Option(help="csv, parquet, json or markdown.")] = "csv",
    out: Out = None,
) -> None:
    """Print a flat table, one row a record; results/README.md describes its columns."""
    reporter("exports").export(run, format, out)


@app.command()
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


def chosen(**given: Any) -> Any:
    """The choice as `bench.plan` takes it: comma-separated lists split."""
    from bench.plan import Choice

    lists = {"impl", "workload", "variant", "precision"}
    given |= {name: split(given[name]) for name in lists & given.keys()}
    given["device_counts"] = whole_numbers("device-counts", given["device_counts"])
    return Choice(**given)


def only(asked: Collection[str], choice: Any, settings: Any) -> dict[str, Any]:
    """What stood on the command line of a run that goes on: the rest is as it was when the run began."""
    renamed = {
        "no_report": "report",
        "no_ceilings": "ceilings",
        "min_time": "min_time_s",
        "timeout": "timeout_s",
        "max_batch": "find_max_batch",
        "wait_for_idle": "wait_for_idle_s",
    }
    names = {renamed.get(name, name) for name in asked} | ({"device_counts"} if "devices" in asked else set[str]())

    def among(given: Any) -> dict[str, Any]:
        return {name: getattr(given, name) for name in given.__dataclass_fields__ if name in names}

    return {"choose": among(choice), **among(settings)}


def whole_numbers(flag: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in split(text))
    except ValueError:
        raise WrongInput(f"--{flag} {text}: give whole numbers such as 1,3,8") from None


def split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def main() -> None:
    """Run the command; wrong input is one line on standard error and exit 2, an interrupt exit 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: cells ended, scratch removed
    warnings.formatwarning = one_line
    sys.exit(guard(lambda: app(standalone_mode=False)))


def one_line(message: Warning | str, *_: Any) -> str:
    """A warning for people: without the place in the source, which tells them nothing."""
    return f"bench: {plain(str(message))}\n"


def guard(command: Callable[[], Any]) -> int:
    try:
        code = command()
        return code if isinstance(code, int) else 0
    except (WrongInput, typer.TyperException) as error:
        text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        print(f"bench: {plain(' '.join(text.split()))}", file=sys.stderr)
        return 2
    except CannotWrite as error:
        print(f"bench: {plain(str(error))}", file=sys.stderr)
        return 1
    except RecursionError:
        print("bench: a file is nested deeper than any that samestep writes, and was not read", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print("bench: interrupted; what was measured is kept", file=sys.stderr)
        return 130
