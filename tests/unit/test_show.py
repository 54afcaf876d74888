"""What the terminal shows."""

import pytest

from bench import show


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00123, "s", "1.23 ms"), (1.5, "s", "1.5 s"), (2.5e-5, "s", "25 µs"), (0, "s", "0 s"), (9.9e-10, "s", "0.00099 µs"),
        (123456.0, "tokens/s", "123 ktokens/s"), (4.2e9, "FLOP", "4.2 GFLOP"),
        (512, "B", "512 B"), (3 * 2**20, "B", "3 MiB"), (1.5 * 2**30, "B", "1.5 GiB"),
    ],
)  # fmt: skip
def test_units_are_for_people(value: float, unit: str, text: str) -> None:
    assert show.scaled(value, unit) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3600, "60 min 00 s")])
def test_clock(seconds: float, text: str) -> None:
    assert show.clock(seconds) == text


def test_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A reason such as pip install 'samestep[torch]' must arrive whole, and a log cannot colour the terminal."""
    show.rows(("reason",), [("pip install 'samestep[torch]'",), ("[red]x[/red]",)])
    printed = capsys.readouterr().out
    assert "samestep[torch]" in printed
    assert "[red]x[/red]" in printed
