"""Everything random: bits from Philox, whose raw stream NumPy guarantees; all else is written out here.

What is drawn depends on its key alone (a seed, a name, a step, a sample), never on what was drawn before.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from bench.spec import Param, Workload


def random_bits(count: int, *key: int | str) -> NDArray[np.uint64]:
    """`count` random 64-bit words that depend on `key` alone, never on what was drawn before."""
    name = "/".join(str(part) for part in key).encode()
    return np.random.Philox(key=int.from_bytes(hashlib.sha256(name).digest()[:16], "little")).random_raw(count)


def random_uniform(count: int, *key: int | str) -> NDArray[np.float64]:
    """`count` float64 in [0, 1): the upper 53 bits of each word."""
    return (random_bits(count, *key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def random_normal(count: int, *key: int | str) -> NDArray[np.float64]:
    """`count` standard normal float64 by Box and Muller (1958), cosines first, then sines."""
    half = (count + 1) // 2
    u = random_uniform(2 * half, *key)
    radius, angle = np.sqrt(-2.0 * np.log1p(-u[:half])), 2.0 * np.pi * u[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], dtype=np.float64)[:count]


def init_params(workload: Workload, seed: int) -> dict[str, NDArray[np.float64]]:
    """Parameters by name in canonical layout, float64, keyed by seed and name so that order never matters."""

    def draw(name: str, param: Param) -> NDArray[np.float64]:
        count = int(np.prod(param.shape))
        match param.init:
            case "zeros":
                flat = np.zeros(count)
            case "ones":
                flat = np.ones(count)
            case "normal":
                flat = param.scale * random_normal(count, seed, "param", name)
            case "uniform":
                flat = param.scale * (2.0 * random_uniform(count, seed, "param", name) - 1.0)
        return flat.reshape(param.shape)

    return {name: draw(name, param) for name, param in workload.param_specs().items()}
