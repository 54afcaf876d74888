"""Counts of devices, weak and strong scaling, and the cells that follow."""

import pytest

from bench import manifests, plan
from bench.plan import Choice
from bench.spec import Cell, WrongInput
from bench.spread import device_counts, spreads

COUNTS = {1: [1], 2: [1, 2], 3: [1, 2, 3], 8: [1, 2, 4, 8], 12: [1, 2, 4, 8, 12]}


@pytest.mark.parametrize("most", COUNTS)
def test_a_sweep_doubles_up_to_the_count(most: int) -> None:
    assert device_counts(most) == COUNTS[most]


def test_named_counts_stand_for_the_sweep_and_have_a_base() -> None:
    assert device_counts(1, [8, 3, 3]) == [1, 3, 8]
    assert device_counts(8, [3]) == [1, 3]


@pytest.mark.parametrize(("most", "named"), [(0, []), (-1, []), (1, [2, 0])])
def test_counts_below_one_are_refused(most: int, named: list[int]) -> None:
    with pytest.raises(WrongInput, match="whole numbers from 1"):
        device_counts(most, named)


def test_one_device_alone_is_plain() -> None:
    assert [(one.devices, one.engine, one.scaling) for one in spreads([1], "both")] == [(1, "plain", None)]


def test_a_sweep_has_a_companion_and_a_base_on_one_device() -> None:
    """Once each, whatever the scaling: on one device weak and strong are the same cell."""
    found = [(one.devices, one.engine, one.scaling) for one in spreads([1, 2, 4], "both")]
    assert found[:2] == [(1, "plain", None), (1, "distributed", None)]
    assert found[2:] == [(n, "distributed", kind) for kind in ("weak", "strong") for n in (2, 4)]


def planned(**given: object) -> dict[tuple[int, str | None, str], Cell]:
    choice = Choice(impl=("torch",), workload=("gan",), precision=("fp32",), **given)  # type: ignore[arg-type]
    return {(c.devices, c.scaling, c.engine): c for c in plan.plan_cells(choice, manifests.find())}


def test_weak_keeps_the_batch_of_a_device_and_strong_that_of_all() -> None:
    cells = planned(devices=8, scaling="both", batch=96)
    sizes = {key: (cell.batch_per_device, cell.global_batch, cell.norm_groups) for key, cell in cells.items()}
    assert sizes[1, None, "distributed"] == sizes[1, None, "plain"] == (96, 96, 1)
    assert sizes[4, "weak", "distributed"] == (96, 384, 4)
    assert sizes[8, "strong", "distributed"] == (12, 96, 8)
    assert len({cell.id for cell in cells.values()}) == len(cells) == 8


def test_what_devices_cannot_share_is_refused() -> None:
    with pytest.raises(WrongInput, match="7 devices cannot share a batch of 48 evenly; give --batch a multiple of 7"):
        planned(device_counts=(7,), scaling="strong")
    with pytest.raises(WrongInput, match="batch norm needs at least 2 images in each"):
        planned(device_counts=(4,), batch=1)


def test_emulated_devices_run_once_with_few_steps() -> None:
    cells = list(planned(devices=2).values())
    jobs = [(job.cell.devices, job.repeat) for job in plan.rounds(cells, range(3), 0)]
    assert jobs.count((2, 0)) == 1 and (2, 1) not in jobs and jobs.count((1, 2)) == 2
    assert [plan.warm_up_steps(cell) for cell in cells] == [20, 20, 5]
    real = [Cell(**{**cell.__dict__, "platform": "cuda"}) for cell in cells]
    assert len(list(plan.rounds(real, range(3), 0))) == 9 and plan.warm_up_steps(real[-1]) == 20


def test_labels_tell_the_cells_of_a_sweep_apart() -> None:
    cells = planned(devices=4, scaling="both")
    assert len({cell.label for cell in cells.values()}) == len(cells)


def test_counts_that_the_machine_lacks_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"cpu": ("2 cores",), "cuda": ("H100", "H100"), "rocm": (), "tpu": ()}
    monkeypatch.setattr(plan.accelerators, "here", lambda: there)
    found = {key[0]: plan.absence(cell, manifests.find()) for key, cell in planned(devices=4, platform="auto").items()}
    assert found[2] is None
    assert found[4] == ("unavailable", "4 cuda device(s) are needed, 2 are here")
