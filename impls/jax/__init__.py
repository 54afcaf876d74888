"""JAX, jitted: plain functions over pytrees, optax's interface, the whole step in one compiled program."""
