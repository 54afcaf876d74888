"""The workloads in each framework's plain idiom: stock layers and optimizers, as its tutorials have it. Speed only."""
