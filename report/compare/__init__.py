"""Comparisons that tell a change from noise: of two runs, or of the cells of one by framework, precision or variant."""
