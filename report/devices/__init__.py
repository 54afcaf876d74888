"""Cells on several devices: their efficiency, a metric by their number, what they exchange."""
