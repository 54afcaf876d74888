"""The commands: one function each, which reads its options and calls one function of the package."""
