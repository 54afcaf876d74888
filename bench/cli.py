"""The command line: wrong input is one line and exit 2, an interrupt exit 130. `bench.commands` holds the commands."""

import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer

from bench.commands import environments, looking, measuring, reading
from bench.commands.options import WaitsForIdle
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
    bench export show, bench merge makes one run of several, bench list tells what there is, bench doctor
    what works here, bench env makes environments. Lists are comma-separated; all is allowed.
    """,
)

app.command("list")(looking.list_)
app.command(cls=WaitsForIdle)(measuring.run)
app.command()(measuring.verify)
for command in (reading.report, reading.compare, reading.export, reading.merge):
    app.command()(command)
app.command()(looking.doctor)
app.add_typer(environments.app, name="env")


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
