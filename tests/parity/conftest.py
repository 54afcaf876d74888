"""A place to try changed implementations in."""

import os
from collections.abc import Iterator

import pytest

from bench.processes import children
from tests.mutations import __main__ as mutations


@pytest.fixture(scope="module")
def place() -> Iterator[mutations.Laboratory]:
    """A launcher, and a folder in which changed implementations can be planted."""
    before = children()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        with mutations.laboratory() as place:
            yield place
    assert children() <= before
