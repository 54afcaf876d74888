"""How to spend a cell's time: on how many visits of each process."""

import math


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
