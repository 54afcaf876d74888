"""The machine that is measured on: what it is, what else it does, what a cell takes of it."""
