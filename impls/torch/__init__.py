"""PyTorch, eager: modules, autograd and fused optimizers."""
