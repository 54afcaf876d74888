"""What the terminal shows."""

import pytest

from bench import show


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3600, "60 min 00 s")]
)
def test_clock(seconds: float, text: str) -> None:
    assert show.clock(seconds) == text


def test_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A reason such as pip install 'samestep[torch]' must arrive whole, and a log cannot colour the terminal."""
    show.rows(("reason",), [("pip install 'samestep[torch]'",), ("[red]x[/red]",)])
    printed = capsys.readouterr().out
    assert "samestep[torch]" in printed
    assert "[red]x[/red]" in printed
