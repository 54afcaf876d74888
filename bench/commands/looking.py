"""`bench list` and `bench doctor`: what there is, and what works."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Impl, Precision, Python, split
from bench.text import plain


def list_(
    probe: Annotated[bool, typer.Option("--probe", help="Start each framework and ask it for its devices.")] = False,
) -> None:
    """Show workloads with their sizes, implementations with their versions, devices, and what is missing."""
    from bench import catalogue

    catalogue.show_all()
    if probe:
        catalogue.show_probes()


def doctor(
    impl: Impl = "all",
    platform: Annotated[str, typer.Option(help="auto, cpu, cuda, rocm or tpu.")] = "auto",
    precision: Precision = None,
    python: Python = [],  # noqa: B006
    out: Annotated[Path, typer.Option(help="Folder of the runs to come.")] = Path("results"),
    json: Annotated[bool, typer.Option("--json", help="Print the checks, one line of JSON each.")] = False,
) -> None:
    """Tell what works here, and of what does not the reason and the command that mends it.

    Looks at devices, disk and noise; trains a few steps in each framework that is asked for, probes each precision,
    and has two devices average a vector. Exits with 1 if something that was asked for does not work.
    """
    import json as encoder

    from bench import doctor as doctors
    from bench import show

    checks: list[doctors.Check] = []
    for check in doctors.examine(split(impl), platform, split(precision), python, out):
        checks.append(check)
        if json:
            print(encoder.dumps(doctors.plain(check)), flush=True)
        else:
            for line in check.lines:
                show.output.print(plain(line), soft_wrap=True)
    raise typer.Exit(0 if doctors.well(checks) else 1)
