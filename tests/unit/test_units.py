"""Numbers for people."""

import pytest

from bench import units


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00123, "s", "1.23 ms"), (1.5, "s", "1.50 s"), (2.5e-5, "s", "25.0 µs"), (0, "s", "0 s"),
        (1234.0, "s", "1234 s"),
        (123456.0, "tokens/s", "123 k tokens/s"), (999.7, "images/s", "1.00 k images/s"), (4.2e9, "FLOP", "4.20 GFLOP"),
        (512, "B", "512 B"), (3 * 2**20, "B", "3.00 MiB"), (1010 * 2**20, "B", "1010 MiB"),
        (1.5 * 2**30, "B", "1.50 GiB"),
        (float("nan"), "s", "nan s"),
        (0.00123, "J/token", "1.23 mJ/token"), (2.5e9, "B/s", "2.50 GB/s"), (0.0123, "/M images", "0.0123 /M images"),
        (1234.0, "/M images", "1234 /M images"), (1.755e9, "Hz", "1.75 GHz"),
        (0.0107, "", "1.07 %"), (2.5, "", "250 %"), (5.94e10, "B/s", "59.4 GB/s"),
    ],
)  # fmt: skip
def test_units_are_for_people(value: float, unit: str, text: str) -> None:
    assert units.scaled(value, unit).replace(units.NBSP, " ") == text


def test_numbers_on_one_axis_share_a_unit() -> None:
    assert units.scale([0.5, 1200.0, float("inf")], "images/s") == (1e3, "k images/s")
    assert units.scale([], "s") == (1.0, "s")
