"""Over how many devices cells spread: counts of a sweep, weak and strong scaling, the engine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.spec import SCALINGS, WrongInput, one


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a cell spreads over devices."""

    devices: int
    scaling: str | None  # on one device weak and strong are one
    engine: str


PLAIN = Spread(devices=1, scaling=None, engine="plain")


def spreads(counts: Sequence[int], scaling: str) -> list[Spread]:
    """One device as it is; in a sweep also behind the engine that drives several, the base of all efficiencies."""
    kinds = ("weak", "strong") if scaling == "both" else (one(scaling, SCALINGS, "scaling"),)
    if list(counts) == [1]:
        return [PLAIN]
    several = [Spread(devices=n, scaling=kind, engine="distributed") for kind in kinds for n in counts if n > 1]
    return [PLAIN, replace(PLAIN, engine="distributed"), *several]


def device_counts(most: int, named: Sequence[int] = ()) -> list[int]:
    """The counts that were named, in order, and 1 for the base; else 1, 2, 4, … and the largest itself.

    Raises:
        WrongInput: a count below 1.
    """
    for number in (*named, most):
        if number < 1:
            raise WrongInput(f"{'--device-counts' if named else '--devices'} {number}: give whole numbers from 1")
    if named:
        return sorted({1, *named})
    return sorted({*(2**k for k in range(most.bit_length())), most})
