"""Joules of windows, from counters that were read while they ran.

A counter of energy only grows, and moves in steps: NVIDIA's driver renews its own some ten to fifty times a second,
RAPL a thousand. Between two steps it shows what was true at the last. So a reading counts where it is the first that
shows a new value; between such points energy grows evenly, which places each edge of a window to within the period of
the readings. Wherever there is doubt there is a reason and no number.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

Reading = tuple[float, Sequence[float | str]]  # seconds by the clock of windows; of each device joules, or why not
Span = tuple[float, float]  # from, to
# That a counter may stand still, or not be read, while windows run: five steps of the slowest that is known. One that
# stops for longer may have lost what was spent meanwhile, on any machine.
LONGEST_S = 0.5
LEAST_S = 2.0  # of windows in all: by such a counter their two outer edges are off by 2.5 % of that at most
UNSURE_SHARE = 0.1  # of the windows' time, in whose energy a step of the counter may be shared with what lies outside


def spent(readings: Sequence[Reading], spans: Sequence[Span], places: Sequence[int]) -> float:
    """Joules of some devices within some spans, which are in order.

    What lies between two spans does not count. At even power the sum is off by at most the power times the period of
    the readings; where one span ends and the next begins, the errors of both edges are nearly the same and cancel.

    Raises:
        OSError: the readings do not tell; the text says why.
    """
    edges = np.array(spans)
    return sum(_of_device(readings, place, edges) for place in places)


def _of_device(readings: Sequence[Reading], place: int, edges: "np.ndarray") -> float:
    known = list(_between(_points(readings, place), float(edges[0, 0]), float(edges[-1, 1])))
    times, joules = zip(*known, strict=True)
    if (share := unsure_share(np.array(times), edges)) > UNSURE_SHARE:
        told = f"{100 * share:.0f} % of their time cannot be told from what lies around them"
        raise OSError(f"the counter of energy moves too seldom for windows as short as these: {told}")
    return float(np.diff(np.interp(edges, times, joules), axis=1).sum())


def unsure_share(times: "np.ndarray", edges: "np.ndarray") -> float:
    """Share of the spans' time, up to which the energy may be off for each unit that power differs outside of them.

    A step of the counter that lies i seconds within spans and o outside is shared by time: it is i·o / (i + o) times
    the difference of the two powers off.
    """
    inside = np.concatenate([[0.0], np.cumsum(np.diff(edges, axis=1))]).repeat(2)[1:-1]
    within = np.diff(np.interp(times, edges.ravel(), inside))
    steps = np.diff(times)
    return float((within * (steps - within) / steps).sum() / inside[-1])


def _points(readings: Sequence[Reading], place: int) -> list[tuple[float, float | str]]:
    """When the counter showed a new value first, and which. Of the first reading nobody knows how old its value was."""
    found: list[tuple[float, float | str]] = []
    last: float | str | None = None
    for at_s, values in readings:
        if len(values) <= place:
            raise OSError(f"device {place} has no counter of energy")
        value = values[place]
        if isinstance(value, str) or (last is not None and value != last):
            found.append((at_s, value))
        last = value
    return found


def _between(points: Sequence[tuple[float, float | str]], begin: float, end: float) -> Iterator[tuple[float, float]]:
    """The points from the last before `begin` to the first after `end`; raises OSError where they make no sense."""
    before = [n for n, (at_s, _) in enumerate(points) if at_s <= begin]
    after = [n for n, (at_s, _) in enumerate(points) if at_s >= end]
    if not before or not after:
        where = "after their end" if before else "before their begin"
        raise OSError(f"the counter of energy did not move while windows ran, or was not read {where}")
    within = points[before[-1] : after[0] + 1]
    for at_s, joules in within:
        if isinstance(joules, str):
            raise OSError(f"the counter of energy could not be read: {joules}")
        yield at_s, joules
    for (earlier_s, less), (later_s, more) in pairwise(within):
        if float(more) < float(less):
            raise OSError("the counter of energy went backwards or began anew while windows ran")
        if later_s - earlier_s > LONGEST_S:
            still = later_s - earlier_s
            raise OSError(f"the counter of energy stood still, or was not read, for {still:.2g} s while windows ran")
