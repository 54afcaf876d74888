"""Every framework against the mathematics in NumPy: each loss, parameter, slot and running statistic of each step.

`SAMESTEP_SHOW=1` with `pytest -s` prints how near they come.
"""

import os
from collections.abc import Callable

import pytest

from bench import manifests
from tests.reference.agreement import beyond, differences, reference
from tests.reference.cases import CASES
from tests.reference.conftest import States

INSTALLED = [name for name, manifest in manifests.find().items() if manifest.installed and name in manifests.BUILT_IN]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("impl", INSTALLED)
def test_a_framework_computes_what_the_docstring_says(impl: str, case: str, trained: Callable[[str], States]) -> None:
    found = trained(impl)[case]
    assert "failure" not in found, found["failure"]
    if os.environ.get("SAMESTEP_SHOW"):
        shares = differences(CASES[case], reference(case), found)
        print(f"\n{case} {impl}", *(f"{what} {share:.1e}" for what, share in shares.items()))
    assert beyond(CASES[case], reference(case), found) == {}
