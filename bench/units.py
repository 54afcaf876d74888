"""Numbers for people: three digits, an SI or binary prefix, the unit. Stored values are SI base units always."""

import math
from collections.abc import Iterable

from bench.stats import Estimate

BINARY = ((2.0**40, "Ti"), (2.0**30, "Gi"), (2.0**20, "Mi"), (2.0**10, "Ki"), (1.0, ""))
DECIMAL = (
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
)
SYMBOLS = ("s", "B", "FLOP", "J", "W", "Hz")  # units that take their prefix without a space, also over another
PRICE = "/"  # begins a unit of money over something: money takes no prefix
NBSP = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
SHARE = (0.01, "%")  # how a number without a unit is shown
NEVER_ABOVE_ONE = ("s",)  # nobody reads a kilosecond


def scale(values: Iterable[float], unit: str) -> tuple[float, str]:
    """The factor to divide by and the unit to write, for numbers that share an axis: the largest decides.

    `images/s` becomes `k images/s`, `s` becomes `ms`, `B` becomes `MiB`; a share is shown in per cent.
    """
    if unit.startswith(PRICE):
        return 1.0, unit
    if not unit:
        return SHARE
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    steps = BINARY if unit == "B" else DECIMAL
    if unit in NEVER_ABOVE_ONE:
        steps = tuple(step for step in steps if step[0] <= 1.0)
    reached = (step for step in steps if largest >= step[0] * (1 - 5e-4))  # 999.6 is written as 1.00 k
    factor, prefix = next(reached, (1.0, "") if largest == 0 else steps[-1])
    if not prefix:
        return factor, unit
    return factor, f"{prefix}{unit}" if unit.split("/")[0] in SYMBOLS else f"{prefix} {unit}"


def scaled(value: float, unit: str) -> str:
    """One number with its unit: 0.00123 s → 1.23 ms, 3421 images/s → 3.42 k images/s."""
    if not math.isfinite(value):
        return f"{value} {unit}".replace(" ", NBSP)
    factor, name = scale([value], unit)
    return f"{digits(value / factor)} {name}".replace(" ", NBSP)


def digits(value: float) -> str:
    """Three significant digits, trailing zeros kept, no exponent from 0.001 to a million."""
    size = abs(value)
    if size == 0 or not math.isfinite(value):
        return f"{value:g}"
    if size < 1e-3 or size >= 1e6:
        return f"{value:.2e}"
    decimals = 2 - math.floor(math.log10(size * (1 + 5e-4)))
    return f"{value:.{max(decimals, 0)}f}"


def share(value: float) -> str:
    """A relative difference: 6.4e-08, or 0 where there is none."""
    return "0" if value == 0 else f"{value:.1e}"


def percent(value: float) -> str:
    """A half width: 0.0123 → ± 1.2 %."""
    found = f"± {100 * value:.1f} %" if value < 1 else f"(within a factor of {digits(1 + value)})"
    return found.replace(" ", NBSP)


def shown(found: Estimate | None, unit: str) -> str:
    """A mean with its half width where it has one: `3.42 k images/s ± 1.2 %`."""
    if found is None:
        return "not measured"
    width = "" if found.half_width is None else f"{NBSP}{percent(found.half_width)}"
    return f"{scaled(found.mean, unit)}{width}"


def interval(found: Estimate | None, unit: str) -> str | None:
    """The bounds of a mean, where it has any: `3.38 k images/s to 3.46 k images/s`."""
    if found is None or found.low is None or found.high is None:
        return None
    return f"{scaled(found.low, unit)} to {scaled(found.high, unit)}"
