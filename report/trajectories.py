"""Losses of the first steps, and how far the cells of a group are from each other."""

import math
from collections.abc import Sequence

from report.cells import Cell, Group


def loss_curves(group: Group, name: str) -> list[tuple[Cell, Sequence[float]]]:
    """Cells that have a loss, with its values; first one that did not diverge, since the others are held against it."""
    found = [(cell, cell.losses()[name]) for cell in group.cells if cell.losses().get(name)]
    return sorted(found, key=lambda pair: not pair[0].ranked)


def reference(group: Group, name: str) -> Sequence[float]:
    """Float64's values of a loss, of the first cell that was held against it; empty where no record has them."""
    none: Sequence[float] = []
    found = (row["reference_losses"].get(name) for cell in group.cells for row in cell.ok)
    return next((one for one in found if one), none)


def loss_names(group: Group) -> list[str]:
    return list(dict.fromkeys(name for cell in group.cells for name, curve in cell.losses().items() if curve))


def differences(base: Sequence[float], other: Sequence[float]) -> list[float]:
    """The share |a - b| / |a| at each step that both have; infinite where one is no number."""
    shares = [0.0 if a == b else abs(a - b) / abs(a) if a else math.inf for a, b in zip(base, other, strict=False)]
    return [math.inf if math.isnan(one) else one for one in shares]


def held_against(group: Group, name: str) -> tuple[str, Sequence[float], Sequence[tuple[Cell, Sequence[float]]]]:
    """What a group's curves are held against, by name and values, and the curves: float64, else the first cell."""
    curves = loss_curves(group, name)
    if base := reference(group, name):
        return "float64", base, curves
    return (curves[0][0].label, curves[0][1], curves[1:]) if curves else ("", [], [])


def largest_difference(group: Group, name: str) -> tuple[float, int, str, str] | None:
    """The largest relative difference of a loss from float64's, or the first cell's; of cells that did not diverge.

    Returns:
        The difference, the step, the label of the cell, and what it is held against; None with nothing to compare.
    """
    base, values, curves = held_against(group, name)
    found = [
        (off, step, cell.label, base)
        for cell, curve in curves
        if cell.ranked
        for step, off in enumerate(differences(values, curve))
    ]
    return max(found, key=lambda one: one[0], default=None)
