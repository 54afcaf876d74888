"""How to spend a cell's time: on how many visits of each process."""

import math
from collections.abc import Sequence
from statistics import fmean, variance


def visits(cost_process_s: float, cost_visit_s: float, var_process: float, var_visit: float) -> float:
    """The number of visits a process at which a given time yields the narrowest interval: √(c_p/c_v · σ_v²/σ_p²).

    R processes of V visits take R·(c_p + V·c_v) and leave a variance of (σ_p² + σ_v²/V) / R; their product is
    smallest at this V, whatever R. At least one; unbounded where processes do not differ.
    Source: T. Kalibera and R. Jones, "Rigorous benchmarking in reasonable time", ISMM 2013, section 5, for two levels.

    Args:
        cost_process_s: seconds that a process takes before its first visit.
        cost_visit_s: seconds that a visit takes, with what goes before its window.
        var_process: variance between processes, of logarithms, without the windows' part.
        var_visit: variance between visits of one process.

    Raises:
        ValueError: a cost that is not above zero, or a variance below zero.
    """
    if not (cost_process_s > 0 and cost_visit_s > 0 and var_process >= 0 and var_visit >= 0):
        raise ValueError("costs must be above zero, variances not below")
    if var_process == 0:
        return math.inf if var_visit else 1.0
    return max(1.0, math.sqrt(cost_process_s / cost_visit_s * var_visit / var_process))


def components(cells: Sequence[Sequence[Sequence[float]]]) -> tuple[float, float] | None:
    """Variances between processes and between visits, pooled over cells; None where they cannot be told apart.

    The mean of a process scatters by σ_p² + σ_v²/V: what its visits do not explain is the processes' own, and 0 where
    they explain all of it.

    Args:
        cells: for each cell its processes, for each process the logarithms of its visits, two at least.
    """
    repeated = [processes for processes in cells if len(processes) > 1]
    if not repeated:
        return None
    of_visits = fmean(variance(logs) for processes in repeated for logs in processes)
    of_means = fmean(variance([fmean(logs) for logs in processes]) for processes in repeated)
    explained = fmean(variance(logs) / len(logs) for processes in repeated for logs in processes)
    return max(0.0, of_means - explained), of_visits
