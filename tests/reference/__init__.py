"""The mathematics of the docstrings once more, in plain NumPy: agreement between frameworks alone proves no formula.

Nothing here reads an implementation, nor the layers that `bench.workloads` lists for them: sides, channels, paddings
and schedules are worked out again from what the docstrings say. Gradients come from no rule of differentiation.
"""
