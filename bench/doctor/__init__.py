"""`bench doctor`: what works here, and of what does not the reason and the command that mends it."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "fails", "note"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    what: str
    state: State  # `fails`: something that was asked for does not work; `note`: one that can be done without
    told: str  # what was found, or why it fails
    mend: str = ""  # a command line that mends it; empty where none does

    @property
    def lines(self) -> list[str]:
        """As the terminal shows it."""
        return [
            f"{self.state:5} {self.what}: {self.told}",
            *([f"      mend it with: {self.mend}"] if self.mend else []),
        ]


def examine(
    impls: Sequence[str], platform: str, precisions: Sequence[str], python: Sequence[str], out: Path
) -> Iterator[Check]:
    """Look at everything that a run needs; each check as soon as it is made.

    Args:
        impls: frameworks that are asked for; `all` for all.
        platform: where they should compute; `auto` for the best that is here.
        precisions: at which; none for the platform's own.
        python: as `--python` has it.
        out: folder in which runs are to lie.

    Raises:
        WrongInput: a name that there is not.
    """
    from bench import manifests
    from bench.doctor import frameworks, surroundings
    from bench.plan import Choice, plan_cells

    found = manifests.find(python)
    choice = Choice(
        impl=impls, workload=("autoencoder",), size="tiny", platform=platform, precision=precisions, devices=2
    )
    cells = plan_cells(choice, found)
    yield from surroundings.machine(cells[0].platform)
    yield from surroundings.places(out)
    yield from frameworks.check(cells, found)
    yield from surroundings.reporting()


def well(checks: Iterable[Check]) -> bool:
    return all(check.state != "fails" for check in checks)


def bench(words: str) -> str:
    """A command of this program, as it can be typed here."""
    script = Path(sys.executable).with_name("samestep")
    if script.exists():
        return f"{script if shutil.which('samestep') != str(script) else 'samestep'} {words}"
    return f"{sys.executable} -m bench {words}"


def plain(check: Check) -> Mapping[str, str]:
    """As JSON has it."""
    return {"what": check.what, "state": check.state, "told": check.told, "mend": check.mend}
