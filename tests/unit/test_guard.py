"""Which signals the guard sends, with a clock and processes of the test's own."""

from dataclasses import dataclass, field

import pytest

from bench import guard


@dataclass(eq=False)
class Process:
    """One that ends at SIGTERM, at SIGKILL, or at nothing."""

    ends_at: str
    got: list[str] = field(default_factory=list[str])

    def terminate(self) -> None:
        self.got.append("SIGTERM")

    def kill(self) -> None:
        self.got.append("SIGKILL")

    @property
    def runs(self) -> bool:
        return self.ends_at not in self.got


def ended(monkeypatch: pytest.MonkeyPatch, look_s: float, *processes: Process) -> float:
    """Seconds that the guard takes where one look at all processes takes so long."""
    now = [0.0]

    def marked(_: str) -> set[Process]:
        now[0] += look_s
        return {one for one in processes if one.runs}

    monkeypatch.setattr(guard, "marked", marked)
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(guard.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))  # pyright: ignore
    guard.end_marked("scratch")
    return now[0]


@pytest.mark.parametrize("look_s", [0.001, 1.0, 10.0, 100.0])
def test_each_process_gets_both_signals_however_long_a_look_takes(
    monkeypatch: pytest.MonkeyPatch, look_s: float
) -> None:
    willing, deaf = Process("SIGTERM"), Process("SIGKILL")
    ended(monkeypatch, look_s, willing, deaf)
    assert (willing.got, deaf.got) == (["SIGTERM"], ["SIGTERM", "SIGKILL"])


def test_a_process_has_its_grace_and_one_that_cannot_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Process("nothing")
    seconds = ended(monkeypatch, 0.001, stuck)
    assert stuck.got == ["SIGTERM", *["SIGKILL"] * guard.KILLS]
    assert guard.GRACE_S < seconds < 3 * guard.GRACE_S
