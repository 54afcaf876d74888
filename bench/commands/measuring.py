"""`bench run` and `bench verify`."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.options import (
    IDLE_CAP_S,
    IDLE_FLAG,
    Batch,
    DeviceCounts,
    Devices,
    Impl,
    OptimizerName,
    Precision,
    Price,
    Python,
    Size,
    Timeout,
    Variant,
    WorkloadName,
    chosen,
)
from bench.spec import WrongInput


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
    repeats: Annotated[
        int | None,
        typer.Option(help="Rounds; each starts a new process of every cell.  [default: 3 on a processor, else 5]"),
    ] = None,
    min_time: Annotated[
        float | None,
        typer.Option(help="Seconds that the windows of a process last in all.  [default: 5 on a processor, else 1]"),
    ] = None,
    timeout: Timeout = 300.0,
    seed: Annotated[int, typer.Option(help="Of parameters, data, and the order of cells.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run's folder.  [default: results/<time>]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and an estimate of its time.")] = False,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Write the run's folder with its plan; --resume measures it, or a part.")
    ] = False,
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
    drift: Annotated[
        bool, typer.Option("--drift", help="Retrace 100 steps of each cell: how far its precision drifts from float64.")
    ] = False,
    no_proof: Annotated[
        bool, typer.Option("--no-proof", help="Make and look up no evidence: each verdict is unchecked.")
    ] = False,
    cached_proofs: Annotated[
        bool, typer.Option("--cached-proofs", help="Judge by the evidence that is kept, and make none.")
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
    price_per_hour: Price = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this run: measure what its plan lacks, or the part that other options choose."),
    ] = None,
    python: Python = [],  # noqa: B006  # typer makes its own list of it
    force: Annotated[
        bool, typer.Option("--force", help="With --resume: although plan, mathematics or machine changed.")
    ] = False,
) -> None:
    """Measure cells: every framework, workload and precision asked for, each proven to train the same way.

    Without --variant each framework runs its default on the platform; all runs every one.
    Example: bench run --impl torch,jax --workload lm --repeats 5
    """
    from bench import manifests, plan, search, settings
    from bench import run as runner

    choice = chosen(
        impl=impl, workload=workload, size=size, variant=variant, precision=precision, devices=devices,
        device_counts=device_counts, scaling=scaling, batch=batch, optimizer=optimizer, kernels=kernels, input=input,
        platform=platform, seed=seed,
    )  # fmt: skip
    here = plan.platform_of(choice)
    how = settings.Settings(
        repeats=plan.DEFAULT_REPEATS.get(here, plan.OTHER_REPEATS) if repeats is None else repeats,
        min_time_s=plan.DEFAULT_MIN_TIME_S.get(here, plan.OTHER_MIN_TIME_S) if min_time is None else min_time,
        timeout_s=timeout, out=out, cold=cold, report=not no_report, json=json,
        a_a=a_a, max_repeats=max_repeats, plan_only=plan_only,
        target_ci=None if target_ci is None else plan.percentage("target-ci", target_ci),
        wait_for_idle_s=wait_for_idle, price_per_hour=price_per_hour, ceilings=not no_ceilings,
        drift=drift, proof=not no_proof, cached_proofs=cached_proofs,
        find_max_batch=(search.MOST if max_batch is None else max_batch) if find_max_batch else None,
    )  # fmt: skip
    settings.check(how)
    if force and not resume:
        raise WrongInput("--force goes with --resume RUN: it goes on with a run although something changed")
    if resume:
        if out or dry_run or plan_only:
            raise WrongInput("--resume goes on in the run's own folder: leave --out, --dry-run and --plan-only away")
        asked = {
            name for name in ctx.params if (source := ctx.get_parameter_source(name)) and source.name == "COMMANDLINE"
        }
        raise typer.Exit(runner.resume(resume, manifests.find(python), force=force, **only(asked, choice, how)))
    if dry_run and plan_only:
        raise WrongInput("--dry-run writes nothing, --plan-only the plan: give one of them")
    if dry_run:
        runner.dry_run(choice, how, manifests.find(python))
    else:
        raise typer.Exit(runner.run(choice, how, manifests.find(python)))


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
    python: Python = [],  # noqa: B006
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
    rows = verifier.verify(choice, steps, timeout, manifests.find(python))
    if json:
        import json as encoder

        print("\n".join(encoder.dumps(verifier.plain(row)) for row in rows))
    else:
        verifier.table(rows)
    raise typer.Exit(0 if rows and all(row.equal for row in rows) else 1)


def only(asked: Collection[str], choice: Any, settings: Any) -> dict[str, Any]:
    """What stood on the command line of a run that goes on: the rest is as it was when the run began."""
    renamed = {
        "no_report": "report",
        "no_ceilings": "ceilings",
        "no_proof": "proof",
        "min_time": "min_time_s",
        "timeout": "timeout_s",
        "max_batch": "find_max_batch",
        "wait_for_idle": "wait_for_idle_s",
    }
    names = {renamed.get(name, name) for name in asked} | ({"device_counts"} if "devices" in asked else set[str]())

    def among(given: Any) -> dict[str, Any]:
        return {name: getattr(given, name) for name in given.__dataclass_fields__ if name in names}

    return {"choose": among(choice), **among(settings)}
