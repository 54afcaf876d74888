"""Sentences about odd windows and repeats. How often they are wrong is in test_stats_simulation."""

import pytest
from scipy import stats as scipy_stats

from bench.stats import anomalies

QUIET = [1.0, 1.004, 0.998, 1.002, 0.997, 1.003, 1.001]


def record(repeat: int, steps_s: list[float], status: str = "ok") -> dict[str, object]:
    return {"repeat": repeat, "status": status, "windows": [{"steps": 10, "seconds": 10 * one} for one in steps_s]}


def text(found: anomalies.Anomaly | None) -> str:
    return found.text.replace("\N{NO-BREAK SPACE}", " ") if found else ""


def test_quiet_repeats_have_nothing_to_say() -> None:
    assert anomalies.find_anomalies([record(repeat, QUIET) for repeat in range(3)]) == []
    assert anomalies.find_anomalies([record(0, [1.0] * 5), record(1, []), record(2, [0.0] * 5, "invalid")]) == []


def test_drift() -> None:
    assert text(anomalies.drift([1.01**n for n in range(6)])) == "windows grow by 5.1 % from first to last"
    assert text(anomalies.drift([1.2, 1.15, 1.1, 1.05, 1.0])) == "windows shrink by 17 % from first to last"
    assert anomalies.drift([1.0, 1.001, 1.002, 1.003, 1.004]) is None, "too small to matter"
    assert anomalies.drift([1.0, 1.2, 1.1, 1.05, 1.3]) is None, "no trend"
    assert anomalies.drift([1.0, 1.1, 1.2, 1.3]) is None, "too few"


def test_many_windows_are_merged() -> None:
    """A thousand that double are forty of 25 each: from the first one's middle to the last one's, 2^(39/40)."""
    assert text(anomalies.drift([2 ** (n / 1000) for n in range(1000)])) == "windows grow by 97 % from first to last"


@pytest.mark.parametrize("count", [5, 6, 9, 20])
def test_rank_test_is_kendalls(count: int) -> None:
    order = [(7 * n) % 11 + n / 3.1 for n in range(count)]
    theirs = scipy_stats.kendalltau(range(count), order, method="exact")
    score = round(theirs.statistic * count * (count - 1) / 2)
    assert anomalies._rank_p(count, abs(score)) == pytest.approx(theirs.pvalue)


def test_levels() -> None:
    found = anomalies.levels([0.0100, 0.0111, 0.0101, 0.0110, 0.0100, 0.0111, 0.0100])
    assert text(found) == "windows lie on two levels 10 % apart, 4 of 10.0 ms and 3 of 11.1 ms a step"
    assert anomalies.levels([1.0, 1.0, 1.0, 1.0, 1.5]) is None, "one window is an outlier, no level"
    assert anomalies.levels([1.0, 1.01, 1.0, 1.01, 1.0, 1.01]) is None, "too small to matter"


def test_outliers() -> None:
    assert text(anomalies.outlier([*QUIET, 1.31])) == "1 of 8 windows is 31 % above the median"
    assert text(anomalies.outlier([*QUIET, 0.7, 0.8])) == "2 of 9 windows are up to 30 % below the median"
    assert anomalies.outlier([1.0, 1.0, 1.0, 1.0, 1.01]) is None, "too small to matter"


def test_one_repeat_apart() -> None:
    """Grubbs' table: n = 5, two-sided 1 %: G = 1.764 (here of the logarithms)."""
    found = anomalies.apart({0: 1.0, 1: 1.002, 2: 1.12, 3: 0.998})
    assert text(found) == "round 3 took 12 % longer than the other 3"
    assert text(anomalies.apart({0: 1.0, 1: 1.0002, 2: 0.9})) == "round 3 took 10 % less than the other 2"
    assert anomalies.apart({0: 1.0, 1: 1.03, 2: 1.1}) is None
    assert anomalies.apart({0: 1.0, 1: 2.0}) is None


def test_sentences_name_the_round() -> None:
    records = [record(0, QUIET), record(1, [1.0, 1.02, 1.04, 1.06, 1.08]), record(2, QUIET)]
    found = anomalies.find_anomalies(records)
    assert [(one.kind, text(one)) for one in found] == [
        ("drift", "round 2: windows grow by 8.0 % from first to last"),
        ("apart", "round 2 took 3.9 % longer than the other 2"),
    ]
