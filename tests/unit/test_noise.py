"""Processor time of others, from planted counts."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from bench import metrics
from bench.machine import idle, noise
from bench.machine.idle import Load
from bench.machine.noise import Meter, Usage

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
STAT = """cpu  999 0 0 0 0 0 0 0 0 0
cpu0 100 10 20 5000 700 3 4 50 30 2
cpu1 200 0 0 5000 0 0 0 7 0 0
cpu10 9999 0 0 0 0 0 0 9999 0 0
intr 1 2 3
"""


def test_busy_and_stolen_ticks_of_the_cores_asked_for() -> None:
    """Waiting for a disk is idle, a guest's time is within `user` already, and core 10 is not core 1."""
    first, second = noise.times_of_cores(STAT, [0, 1])
    assert first == pytest.approx((137 * TICK_S, 50 * TICK_S))
    assert second == pytest.approx((200 * TICK_S, 7 * TICK_S))


@pytest.mark.parametrize(
    "text", [None, "", "cpu0 1 2", "cpu0 a b c d e f g h", "cpu1 1 1 1 1 1 1 1 1", "cpu0 0 0 0 0 0 0 0 0"]
)
def test_a_system_that_does_not_tell(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "stat").write_text(text)
    assert noise.usage([0], tmp_path) is None


def meter(*readings: tuple[float, float, float]) -> Meter:
    found = iter([Usage(busy_s=busy, steal_s=steal, own_s=own) for busy, steal, own in readings])
    return Meter(read=lambda: next(found))


def windows(of: Meter, count: int) -> list[dict[str, float | None]]:
    found: list[dict[str, float | None]] = []
    for _ in range(count):
        of.start()
        found.append(of.stop())
    return found


def test_what_is_not_the_cells_own_is_foreign() -> None:
    found = windows(meter((10.0, 1.0, 4.0), (12.0, 1.25, 5.5)), 1)
    assert found == [{"foreign_cpu_s": 0.5, "steal_s": 0.25, "cpu_s": 1.5}]


def test_never_negative_and_right_in_sum() -> None:
    """Ticks lag behind the cell's own exact time by 10 ms in one window and make up for it in the next."""
    found = windows(meter((0, 0, 0), (0.09, 0, 0.1), (0.09, 0, 0.1), (0.2, 0, 0.2), (0.2, 0, 0.2), (0.35, 0, 0.3)), 3)
    assert [window["foreign_cpu_s"] for window in found] == pytest.approx([0, 0, 0.05])


def test_steal_that_runs_backwards_is_none() -> None:
    assert windows(meter((0, 0.2, 0), (0, 0.1, 0)), 1)[0]["steal_s"] == 0


def test_time_of_children_counts_as_own(tmp_path: Path) -> None:
    """Of those that run now, found through the lists that threads keep, down to grandchildren."""
    for pid, children, stat in (
        ("self", "7 8", ""),
        ("7", "9", "100 50 0 0"),
        ("8", "", "1 1 5 3"),
        ("9", "", "2 2 0 0"),
    ):
        (tmp_path / pid / "task" / "1").mkdir(parents=True)
        (tmp_path / pid / "task" / "1" / "children").write_text(children)
        (tmp_path / pid / "stat").write_text(f"{pid} (a ) b) S 1 1 1 0 -1 0 0 0 0 0 {stat} 20 0")
    ended = os.times()
    found = noise.children_s(tmp_path) - (ended.children_user + ended.children_system)
    assert found == pytest.approx((150 + 10 + 4) * TICK_S)


def test_shares_are_of_the_cores_time_in_the_windows() -> None:
    window = {"steps": 1, "seconds": 2.0, "foreign_cpu_s": 0.4, "steal_s": 0.04}
    record = {"windows": [window, window], "threads": {"affinity": [0, 1]}}
    assert [metric.value(record) for metric in metrics.NOISE] == pytest.approx([0.1, 0.01])
    assert metrics.disturbances(record) == ["Cores used by other processes: 10 %"]
    for windows in (None, [], [{"steps": 1, "seconds": 2.0}], [window | {"foreign_cpu_s": None, "steal_s": None}]):
        assert [metric.value(record | {"windows": windows}) for metric in metrics.NOISE] == [None, None]
        assert metrics.disturbances(record | {"windows": windows}) == []


def load(foreign: float | None, load_1min: float = 0.1) -> Load:
    busiest = [("hog", foreign)] if foreign else []
    return Load(cores=4, foreign_cores=foreign, load_1min=load_1min, machine_cores=4, busiest=busiest)


def settle(loads: Sequence[Load], wait_s: float | None, step_s: float = 1.0) -> tuple[dict[str, object], list[str]]:
    """What `settle` returns and says when these loads are seen one after another, each after `step_s`."""
    found, said, now = iter(loads), list[str](), [0.0]

    def sample(_: Sequence[int]) -> Load:
        now[0] += step_s
        return next(found)

    return idle.settle([0, 1, 2, 3], wait_s, said.append, sample, lambda: now[0]), said


def test_quiet_machine_is_no_news() -> None:
    told = {"cores": 4, "foreign_cores": 0.05, "load_1min": 0.1, "machine_cores": 4, "busiest_core": None}
    told |= {"busiest": [("hog", 0.05)]}
    assert settle([load(0.05)], 600) == (told | {"waited_s": 0.0, "quiet": True}, [])


def test_busy_machine_is_told_with_the_busiest_process() -> None:
    found, said = settle([load(1.5)], None)
    assert found["quiet"] is False and found["waited_s"] == 0
    assert said[0].startswith("other processes use 1.50 of 4 cores (hog 1.50)") and "--wait-for-idle" in said[0]


@pytest.mark.parametrize("cores", [1, 2, 4, 16, 64, 128, 512])
def test_one_busy_process_is_seen_on_any_machine(cores: int) -> None:
    """It takes a whole core; besides, background tasks take a thousandth of each."""
    quiet = [0.001 * 0.5] * cores
    for share, busy in ((0.0, False), (1.0, True)):
        spent = (quiet[0] + share * 0.5, *quiet[1:])
        before = Usage(busy_s=7.0 * cores, steal_s=0, own_s=3.0, by_core_s=(7.0,) * cores)
        after = Usage(
            busy_s=7.0 * cores + sum(spent) + 0.01, steal_s=0, own_s=3.01,
            by_core_s=tuple(7.0 + one for one in (spent[0] + 0.01, *spent[1:])),
        )  # fmt: skip
        total, most = idle.foreign_work(before, after, 0.5)
        seen = Load(cores=cores, foreign_cores=total, load_1min=0, machine_cores=cores, busiest_core=most)
        assert total == pytest.approx(sum(spent) / 0.5) and seen.busy is busy
        assert ("other processes use" in (seen.warning or "")) is busy


def test_a_long_look_at_the_processes_makes_nobody_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are many, listing them takes 2 s. Another process takes a tenth of a core all the time."""
    now, hog = [100.0], psutil.Process()

    def listed() -> dict[psutil.Process, tuple[str, float]]:
        now[0] += 2.0
        return {hog: ("hog", 0.1 * now[0])}

    def usage(_: Sequence[int]) -> Usage:
        return Usage(busy_s=0.1 * now[0], steal_s=0, own_s=0, by_core_s=(0.1 * now[0],))

    monkeypatch.setattr(idle, "times_of_others", listed)
    monkeypatch.setattr(noise, "usage", usage)
    monkeypatch.setattr(idle.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(idle.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))  # pyright: ignore
    found = idle.sample_load([0])
    assert (found.foreign_cores, found.busiest_core) == pytest.approx((0.1, 0.1)) and not found.busy
    assert found.busiest == [("hog", pytest.approx(0.1))]


def test_load_is_held_against_the_machine_and_not_against_a_containers_cores() -> None:
    """Thirty processes are much on two cores, and little on the 128 of a machine of which a container has two."""
    own = Load(cores=2, foreign_cores=0.0, load_1min=30.0, machine_cores=2)
    assert "30.0 processes ran in the mean over the last minute on 2 cores" in (own.warning or "")
    assert Load(cores=2, foreign_cores=0.0, load_1min=30.0, machine_cores=128).warning is None


def test_load_of_the_last_minute_is_told() -> None:
    assert "3.50 processes ran" in settle([load(0.0, 3.5)], None)[1][0]


def test_waits_until_quiet_for_some_samples() -> None:
    found, said = settle([load(1.0), load(0.0), load(1.0), load(0.0), load(0.0), load(0.0)], 600)
    assert found["quiet"] is True and found["waited_s"] == 5 and found["foreign_cores"] == 1.0
    assert len(said) == 1 and "waiting at most 600 s" in said[0]


def test_goes_on_after_the_cap() -> None:
    found, said = settle([load(1.0)] * 20, 10)
    assert found["quiet"] is False and found["waited_s"] == 10
    assert "not quiet after 10 s, measuring all the same" in said[-1]


def test_a_system_that_does_not_tell_is_not_waited_for() -> None:
    found, said = settle([load(None)], 600)
    assert found["quiet"] is None and not said


def test_a_real_reading_is_cheap_and_grows() -> None:
    before = noise.usage(noise.cores_of_process())
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    after = noise.usage(noise.cores_of_process())
    if before and after:
        assert after.own_s >= before.own_s + 0.02 and after.busy_s >= before.busy_s


@pytest.mark.parametrize(("cores", "foreign_s", "told"), [(2, 0.09, []), (128, 5.0, []), (128, 7.0, ["0.5 %"])])
def test_one_busy_core_of_many_is_told(cores: int, foreign_s: float, told: list[str]) -> None:
    """A share of all cores hides it, yet a step waits for its slowest."""
    window = {"steps": 1, "seconds": 10.0 if cores > 2 else 1.0, "foreign_cpu_s": foreign_s, "steal_s": 0.0}
    found = {"windows": [window], "threads": {"affinity": list(range(cores))}}
    assert [one.rpartition(": ")[2] for one in metrics.disturbances(found)] == told
