"""Efficiency and where the time goes, on made records."""

from dataclasses import replace
from typing import Any

import pytest

from bench import show
from bench.spec import Cell
from bench.stats import scaling
from tests.report.samples import make_cell, make_record

BASE = replace(make_cell(impl="torch"), engine="distributed")


def on(devices: int, kind: str) -> Cell:
    batch = BASE.global_batch * (devices if kind == "weak" else 1)
    return replace(
        BASE, devices=devices, scaling=kind, global_batch=batch, batch_per_device=batch // devices, norm_groups=devices
    )


def made(cell: Cell, repeat: int, step_s: float, **changed: Any) -> dict[str, Any]:
    window = {"steps": 10, "seconds": 10 * step_s, "foreign_cpu_s": None, "steal_s": None}
    return make_record(cell, repeat, windows=[window] * 5, **changed)


def efficiencies(records: list[dict[str, Any]]) -> list[scaling.Efficiency]:
    return scaling.efficiencies(scaling.samples(records))


def test_weak_and_strong_are_both_rate_over_rate() -> None:
    records = [made(BASE, n, 1.0) for n in range(3)]
    records += [made(on(4, "weak"), n, 1.25) for n in range(3)] + [made(on(4, "strong"), n, 0.5) for n in range(3)]
    found = {one.cell["scaling"]: one for one in efficiencies(records)}
    assert found["weak"].value == pytest.approx(0.8) and found["strong"].value == pytest.approx(0.5)
    assert found["strong"].low == pytest.approx(0.5) == found["strong"].high


def test_pairs_are_of_one_round_and_the_interval_follows_their_noise() -> None:
    drift = [1.0, 1.5, 0.8, 1.2]  # of whole rounds: it cancels
    noise = [1.0, 1.02, 0.98, 1.01]
    records = [made(BASE, n, one) for n, one in enumerate(drift)]
    records += [made(on(2, "weak"), n, 1.1 * one * noise[n]) for n, one in enumerate(drift)]
    (found,) = efficiencies(records)
    assert found.low is not None and found.high is not None
    assert found.low < 1 / 1.1 < found.high and found.high / found.low < 1.08


def test_no_interval_from_a_single_run_and_nothing_without_a_base() -> None:
    records = [made(BASE, n, 1.0) for n in range(3)] + [made(on(2, "weak"), 0, 1.1)]
    (found,) = efficiencies(records)
    assert (found.low, found.high) == (None, None)
    assert efficiencies(records[3:]) == []
    plain = [made(replace(BASE, engine="plain"), n, 1.0) for n in range(3)]
    assert efficiencies([*plain, *records[3:]]) == [], "a step without the engine is no base"


COMMUNICATION = {
    "gradient_bytes": 4000,
    "all_reduce": [{"bytes": 4096, "seconds": 1.0}, {"bytes": 4000, "seconds": 0.2}],
    "without_exchange": [{"steps": 10, "rank_s": [6.0, 8.0]}, {"steps": 10, "rank_s": [6.0, 8.0]}],
}


def test_shares_add_up_to_the_step() -> None:
    found = scaling.split(COMMUNICATION, 1.0, 2)
    assert found is not None and found.imbalance_s is not None
    assert (found.compute_s, found.imbalance_s, found.exposed_s) == pytest.approx((0.7, 0.1, 0.2))
    assert found.compute_s + found.imbalance_s + found.exposed_s == pytest.approx(found.step_s)
    assert found.bytes_per_s == pytest.approx(2 * 1 / 2 * 4000 / 0.2)


def test_one_process_cannot_tell_imbalance() -> None:
    alone = COMMUNICATION | {"without_exchange": [{"steps": 10, "rank_s": [7.0]}]}
    found = scaling.split(alone, 1.0, 2)
    assert found is not None and found.imbalance_s is None and found.exposed_s == pytest.approx(0.3)
    assert scaling.split(None, 1.0, 1) is None


def test_the_terminal_says_what_is_emulated(capsys: pytest.CaptureFixture[str]) -> None:
    records = [made(BASE, n, 1.0) for n in range(3)] + [made(on(2, "weak"), 0, 1.25, communication=COMMUNICATION)]
    show.results(records, as_json=False)
    told = capsys.readouterr().out
    assert "×2 emulated" in told and "80.0 %" in told and "not that of hardware" in told
    show.results(records[:3], as_json=False)
    assert "not that of hardware" not in capsys.readouterr().out
