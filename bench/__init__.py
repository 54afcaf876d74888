"""The measuring side of Samestep: plans, launches, clocks, proves and stores. Imports no framework."""

__version__ = "0.1.0"
