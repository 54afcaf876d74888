"""Options that commands share, and how lists of names and numbers are read."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bench.spec import WrongInput

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
Python = Annotated[
    list[str],
    typer.Option(help="Another Python for a framework, such as torch=/opt/t/bin/python; may be given several times."),
]
Price = Annotated[
    float | None,
    typer.Option("--price-per-hour", help="Of one device, on cpu of the machine, in whatever currency you think in."),
]
Timeout = Annotated[float, typer.Option(help="Seconds that one cell may take.")]
IDLE_FLAG, IDLE_CAP_S = "--wait-for-idle", 600.0  # as long as a build of others may take; then measuring begins anyway
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Where to write.")]


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


def chosen(**given: Any) -> Any:
    """The choice as `bench.plan` takes it: comma-separated lists split."""
    from bench.plan import Choice

    lists = {"impl", "workload", "variant", "precision"}
    given |= {name: split(given[name]) for name in lists & given.keys()}
    given["device_counts"] = whole_numbers("device-counts", given["device_counts"])
    return Choice(**given)


def whole_numbers(flag: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in split(text))
    except ValueError:
        raise WrongInput(f"--{flag} {text}: give whole numbers such as 1,3,8") from None


def split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())
