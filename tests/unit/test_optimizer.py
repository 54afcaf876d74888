"""Names of optimizers, and the schedule against figures worked out by hand."""

import math

import pytest

from bench import workloads
from bench.optimizer import ADDITIONS, OPTIMIZERS, Optimizer, check_optimizer
from bench.spec import WrongInput

COSINE = Optimizer(kind="sgd", lr=2.0, warmup=4, total=12, floor=0.1)


def test_a_name_has_one_spelling() -> None:
    assert check_optimizer("adam+cosine+clip") == check_optimizer("adam+clip+cosine+clip") == "adam+clip+cosine"


@pytest.mark.parametrize("name", ["adagrad", "adam+lookahead", "", "+clip", "adam+"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(WrongInput, match="valid: "):
        check_optimizer(name)


@pytest.mark.parametrize("workload", workloads.WORKLOADS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_workload_takes_every_optimizer(workload: str, name: str) -> None:
    spec = workloads.get(workload, "tiny")
    plain, full = spec.optimizer(name), spec.optimizer("+".join((name, *ADDITIONS)))
    assert name.startswith(plain.kind) and plain.slots == full.slots
    assert (plain.clip, plain.warmup) == (0.0, 0) and full.clip > 0 < full.warmup < full.total
    assert (plain.weight_decay > 0) == (name == "adamw")
    assert (plain.centered, plain.nesterov) == (name.endswith("centered"), name.endswith("nesterov"))


def test_the_rate_warms_up_and_then_falls_as_half_a_cosine() -> None:
    rates = [COSINE.rate(t) for t in range(1, 15)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[7] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))  # half way
    assert rates[5] == pytest.approx(2.0 * (0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2))
    assert rates[11:] == [pytest.approx(0.2)] * 3


def test_without_warm_up_the_rate_is_constant() -> None:
    assert {Optimizer(kind="adam", lr=0.5).rate(t) for t in (1, 10, 1000)} == {0.5}
