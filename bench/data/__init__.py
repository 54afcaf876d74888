"""What the workloads draw from: a frozen data set that ships with the package, and tokens made up at random.

`README.md` beside this file says where the data set comes from. Every sample is keyed by (seed, name, step, sample).
"""

import gzip
import hashlib
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.draw import random_uniform

FOLDER = Path(__file__).parent


@lru_cache(maxsize=1)
def digits() -> NDArray[np.uint8]:
    """5,000 handwritten digits of MNIST, (5000, 28, 28), 0 … 255."""
    with np.load(FOLDER / "digits.npz", allow_pickle=False) as arrays:
        return arrays["images"]


@lru_cache(maxsize=1)
def text() -> NDArray[np.uint8]:
    """About 466,000 bytes of English prose about Python, (bytes,), UTF-8."""
    return np.frombuffer(gzip.decompress((FOLDER / "text.txt.gz").read_bytes()), dtype=np.uint8)


SOURCES = {"digits": digits, "tinted digits": digits, "text": text, "zipf tokens": None}


def images(source: str, side: int, seed: int, name: str, step: int, samples: range) -> NDArray[np.float64]:
    """Images in [0, 1], (samples, side, side, channels).

    `digits` are as they are. `tinted digits` are resized linearly between pixel centres and multiplied by a colour
    drawn for each sample, every channel uniformly from [0.25, 1).
    """
    picked = digits()[pick(len(digits()), seed, f"{name}.image", step, samples)] / 255.0
    if source == "digits":
        return picked[..., None]
    resize = _linear(picked.shape[1], side)
    colour = np.stack([random_uniform(3, seed, f"{name}.tint", step, sample) for sample in samples]) * 0.75 + 0.25
    return (resize @ picked @ resize.T)[..., None] * colour[:, None, None, :]


@cache
def _linear(before: int, after: int) -> NDArray[np.float64]:
    """Matrix (after, before) that resizes a line of pixels, linear between their centres, constant at the edges."""
    at = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(before)))


def tokens(source: str, count: int, vocabulary: int, seed: int, step: int, samples: range) -> NDArray[np.int32]:
    """Rows of `count` tokens, (samples, count): a passage of the text, or drawn one by one, each k with 1 / (k + 1)."""
    if source == "text":
        starts = pick(len(text()) - count + 1, seed, "lm.token", step, samples)
        return text()[starts[:, None] + np.arange(count)].astype(np.int32)
    until = _zipf(vocabulary)
    drawn = np.stack([random_uniform(count, seed, "lm.zipf", step, sample) for sample in samples])
    return np.searchsorted(until, drawn, side="right").astype(np.int32)


@cache
def _zipf(vocabulary: int) -> NDArray[np.float64]:
    """Probability of a token up to and with each, (vocabulary,), the last exactly 1."""
    total = np.cumsum(1.0 / np.arange(1, vocabulary + 1))
    return total / total[-1]


def pick(count: int, seed: int, name: str, step: int, samples: range) -> NDArray[np.int64]:
    """For each sample one of `count` entries, drawn with replacement and keyed by the sample."""
    return np.array([int(random_uniform(1, seed, name, step, sample)[0] * count) for sample in samples], dtype=np.int64)


@cache
def data_hash(source: str) -> str:
    """SHA-256, in hex, of the raw bytes that a source holds, not of the packed file; of its name if it is made up."""
    content = SOURCES[source]
    return hashlib.sha256(content().tobytes() if content else source.encode()).hexdigest()
