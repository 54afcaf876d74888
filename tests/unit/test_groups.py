"""What the result of a group of cells depends on, which groups a text draws, and what contradicts a shipped result."""

from dataclasses import replace
from typing import Any

import pytest

from bench import manifests
from bench.plan import Choice
from bench.proof import cache, groups, parity
from bench.proof.groups import Group, Row
from bench.proof.parity import Difference

FAKES = {name: manifests.read(name, "tests.fake") for name in ("a", "b")}


@pytest.fixture
def planned() -> list[Group]:
    return groups.plan_groups(Choice(workload=("autoencoder",), variant=("plain",), devices=8), None, FAKES)


def test_every_group_has_a_key_of_its_own(planned: list[Group]) -> None:
    assert len({group.key for group in planned}) == len(planned) == 20


def test_the_key_depends_on_steps_cells_versions_and_on_what_judges(
    planned: list[Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = planned[0]

    def key(steps: int = first.steps, **changed: Any) -> str:
        return groups.group_key([replace(cell, **changed) for cell in first.traced], steps, FAKES)

    assert key() == first.key
    keys = {key(), key(steps=21), key(seed=1), key(variant="wrong"), key(global_batch=47), key(optimizer="sgd")}
    monkeypatch.setattr(manifests.Manifest, "software", lambda _: {"torch": "other"})
    keys.add(key())
    monkeypatch.setattr(groups, "judging_hash", lambda: "other")
    keys.add(key())
    assert len(keys) == 8


def test_the_key_depends_on_what_a_group_is_compared_with(planned: list[Group]) -> None:
    several = next(group for group in planned if group.cells[0].devices == 3)
    assert len(several.traced) > len(several.cells)
    assert groups.group_key(several.cells, several.steps, FAKES) != several.key


def row(cell: Any, **changed: Any) -> Row:
    difference = Difference(loss=1e-16, param=2e-14, slot=3e-15, worst="")
    return replace(Row(cell=cell, steps=20, equal=True, against="b", difference=difference), **changed)


def test_what_was_kept_is_taken_over_as_it_was(planned: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    group, saved = planned[0], {}
    monkeypatch.setattr(cache, "save", lambda kind, key, content: saved.update({key: content}))
    monkeypatch.setattr(cache, "shipped", lambda kind: saved)
    made = [row(cell) for cell in group.cells]
    groups.keep(group, [replace(made[0], equal=False), *made[1:]])
    assert saved == {}
    groups.keep(group, made)
    assert groups.taken_over(group) == made
    saved[group.key]["rows"].popitem()
    assert groups.taken_over(group) is None


def test_a_text_draws_one_group_of_each_workload_and_a_tenth() -> None:
    planned = [
        group
        for name in ("gan", "autoencoder", "lm")
        for group in groups.plan_groups(Choice(workload=(name,), devices=8), None, manifests.find())
    ]
    drawn = [groups.sample(planned, str(number)) for number in range(100)]
    for some in drawn:
        assert {group.cells[0].workload for group in some} == {"gan", "autoencoder", "lm"}
        assert len({group.key for group in some}) == len(some) == 3 + -(-len(planned) // 10)
    assert drawn[0] == groups.sample(planned[::-1], "0")  # whatever order they stand in
    assert {group.key for some in drawn for group in some} == {group.key for group in planned}
    assert groups.sample([], "0") == []


def test_what_contradicts_a_shipped_row(planned: list[Group]) -> None:
    cell = planned[0].cells[0]
    shipped = row(cell)

    def made(**figures: float) -> Row:
        assert shipped.difference is not None
        return replace(shipped, difference=replace(shipped.difference, **figures))

    assert cell.precision == "fp64"
    assert groups.contradiction(shipped, made(loss=9e-16, slot=0.0)) is None
    assert groups.contradiction(shipped, made(param=0.5 * parity.FP64))
    assert groups.contradiction(made(param=0.5 * parity.FP64), shipped)
    assert groups.contradiction(shipped, replace(shipped, against="a"))
    assert groups.contradiction(shipped, replace(shipped, equal=False, reason="differs"))
    lower = replace(cell, precision="fp32")
    far = replace(made(loss=1e-4, param=float("nan"), slot=float("nan")), cell=lower)
    assert groups.contradiction(replace(far, difference=replace(far.difference, loss=1e-8)), far) is None
