"""The frozen data set that ships with the package; `README.md` beside this file says where it comes from."""

import gzip
import hashlib
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.spec import random_uniform

FOLDER = Path(__file__).parent
SOURCES = {"gan": "digits", "autoencoder": "digits", "lm": "text"}


@lru_cache(maxsize=1)
def digits() -> NDArray[np.uint8]:
    """5,000 handwritten digits of MNIST, (5000, 28, 28), 0 … 255."""
    with np.load(FOLDER / "digits.npz", allow_pickle=False) as arrays:
        return arrays["images"]


@lru_cache(maxsize=1)
def text() -> NDArray[np.uint8]:
    """About 466,000 bytes of English prose about Python, (bytes,), UTF-8."""
    return np.frombuffer(gzip.decompress((FOLDER / "text.txt.gz").read_bytes()), dtype=np.uint8)


def pick(count: int, seed: int, name: str, step: int, samples: range) -> NDArray[np.int64]:
    """For each sample one of `count` entries, drawn with replacement and keyed by the sample."""
    return np.array([int(random_uniform(1, seed, name, step, sample)[0] * count) for sample in samples], dtype=np.int64)


@cache
def data_hash(workload: str) -> str:
    """SHA-256 of the raw bytes that the workload draws from, in hex: of the content, not of the packed file."""
    content = digits() if SOURCES[workload] == "digits" else text()
    return hashlib.sha256(content.tobytes()).hexdigest()
