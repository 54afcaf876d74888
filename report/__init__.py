"""What the records say, for people: `load` gives the frame, `page` the HTML file, `tables` the exports."""

from report.frame import load

__all__ = ["load"]
