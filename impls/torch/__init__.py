"""PyTorch, eager or compiled: modules, autograd and fused optimizers."""
