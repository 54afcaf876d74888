"""Losses of the first steps, and how far the cells of a group are from each other."""

import math
from collections.abc import Sequence

from report.cells import Cell, Group


def loss_curves(group: Group, name: str) -> list[tuple[Cell, Sequence[float]]]:
    """Cells that have a loss, with its values; first one that did not diverge, since the others are held against it."""
    found = [(cell, cell.losses()[name]) for cell in group.cells if cell.losses().get(name)]
    return sorted(found, key=lambda pair: not pair[0].ranked)


def loss_names(group: Group) -> list[str]:
    return list(dict.fromkeys(name for cell in group.cells for name in cell.losses()))


def differences(base: Sequence[float], other: Sequence[float]) -> list[float]:
    """The share |a - b| / |a| at each step that both have; infinite where one is no number."""
    shares = [0.0 if a == b else abs(a - b) / abs(a) if a else math.inf for a, b in zip(base, other, strict=False)]
    return [math.inf if math.isnan(one) else one for one in shares]


def largest_difference(group: Group, name: str) -> tuple[float, int, str, str] | None:
    """The largest relative difference of a loss from the first cell's, of cells that did not diverge.

    Returns:
        The difference, the step, the labels of the cell and of the first one; None with nothing to compare.
    """
    curves = [(cell, curve) for cell, curve in loss_curves(group, name) if cell.ranked]
    found = [
        (off, step, cell.label, curves[0][0].label)
        for cell, curve in curves[1:]
        for step, off in enumerate(differences(curves[0][1], curve))
    ]
    return max(found, key=lambda one: one[0], default=None)
