"""The command that repeats a cell plans that cell."""

import re
import shlex
from dataclasses import asdict
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import cli, manifests, plan
from bench.commands import measuring
from bench.spec import Cell
from report.commands import command

ASKED = [
    {},
    {"devices": 4},
    {"devices": 2, "scaling": "both", "batch": 96},
    {"precision": ("bf16",), "variant": ("all",), "optimizer": "sgd+clip", "input": "host", "seed": 3},
    {"size": "small", "batch": 16, "kernels": "best", "platform": "cuda", "device_counts": (2, 8)},
]


def planned(line: str, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """The cells that a command line would measure."""
    found: list[plan.Choice] = []

    def chosen(**given: Any) -> Any:
        found.append(original(**given))
        raise KeyboardInterrupt

    original = measuring.chosen
    monkeypatch.setattr(measuring, "chosen", chosen)
    CliRunner().invoke(cli.app, shlex.split(line)[3:])
    monkeypatch.setattr(measuring, "chosen", original)
    return plan.plan_cells(found[0], manifests.find())


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_it_measures_the_cell_again(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    cells = plan.plan_cells(plan.Choice(**asked), manifests.find())
    assert cells
    for cell in cells:
        line = command(asdict(cell), repeats=5)
        assert line and line.endswith("--repeats 5")
        assert cell.id in [one.id for one in planned(line, monkeypatch)]


def test_a_record_that_lacks_a_field_has_no_command() -> None:
    (cell, *_) = plan.plan_cells(plan.Choice(), manifests.find())
    assert command(asdict(cell) | {"batch_per_device": None}) is None


def test_text_of_a_stranger_stays_one_word() -> None:
    (cell, *_) = plan.plan_cells(plan.Choice(), manifests.find())
    line = command(asdict(cell) | {"optimizer": "adam; rm -rf ~ $(id)"})
    assert line and "adam; rm -rf ~ $(id)" in shlex.split(line)
    assert re.search(r"--optimizer 'adam; rm", line)
