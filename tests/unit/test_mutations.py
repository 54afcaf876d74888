"""What the suite of planted mistakes ends with: it fails where one is not caught, or where the control is."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tests.mutations import __main__ as mutations
from tests.mutations.mistakes import CONTROL

CAUGHT, MISSED, FAILED = (True, "1e-3"), (False, "1e-16"), (False, "did not run: crashed")


@pytest.mark.parametrize(
    ("mistake", "control", "code"),
    [(CAUGHT, MISSED, 0), (MISSED, MISSED, 1), (FAILED, MISSED, 1), (CAUGHT, CAUGHT, 1), (CAUGHT, FAILED, 1)],
)
def test_exit_code(
    mistake: tuple[bool, str], control: tuple[bool, str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def laboratory() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(try_all=lambda names, impls: {"eps-hat": {"jax": mistake}, CONTROL: {"jax": control}})

    monkeypatch.setattr(mutations, "laboratory", laboratory)
    assert mutations.main(["jax"], "eps-hat", None) == code
