"""What the records say, for people: `load` gives the frame, `draw` its charts for a notebook, `page` the HTML file."""

from report.frame import load
from report.sections import draw

__all__ = ["draw", "load"]
