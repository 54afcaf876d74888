"""The evidence that a step was the same: traces compared, proofs and references kept, a verdict for each cell."""
