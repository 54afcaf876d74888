"""The plan, whatever is asked for: every cell once a round, none taken for another, batches that divide."""

from collections import Counter
from dataclasses import asdict, fields, replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from bench import plan, workloads
from bench.manifests import Manifest, find, read
from bench.optimizer import OPTIMIZERS
from bench.plan import Choice
from bench.precision import PRECISIONS
from bench.rounds import arms
from bench.spec import INPUTS, KERNELS, SCALINGS, Cell, Request, WrongInput
from tests.report.samples import make_cell

MANIFESTS: dict[str, Manifest] = {**find(), "fake": read("fake", "tests.fake")}


def some(names: Any) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(tuple(names)), min_size=1, max_size=3).map(tuple)


choices = st.builds(
    Choice,
    impl=some(MANIFESTS) | st.just(("all",)), workload=some(workloads.WORKLOADS), precision=some(PRECISIONS),
    size=st.sampled_from(["tiny", "small"]), devices=st.integers(1, 8),
    device_counts=st.lists(st.integers(1, 8), max_size=3).map(tuple), scaling=st.sampled_from(SCALINGS),
    batch=st.none() | st.integers(1, 64), optimizer=st.none() | st.sampled_from(tuple(OPTIMIZERS)),
    kernels=st.none() | st.sampled_from(KERNELS), input=st.sampled_from(INPUTS), platform=st.just("cpu"),
    seed=st.integers(0, 9),
)  # fmt: skip


def planned(choice: Choice) -> list[Cell]:
    try:
        return plan.plan_cells(choice, MANIFESTS)
    except WrongInput:  # a batch that these devices cannot share: refused whole
        assume(False)
        raise


@given(choices)
def test_the_matrix_holds_each_cell_once(choice: Choice) -> None:
    cells = planned(choice)
    impls = list(MANIFESTS) if choice.impl == ("all",) else list(dict.fromkeys(choice.impl))
    asked = [list(dict.fromkeys(choice.workload)), impls, list(dict.fromkeys(choice.precision))]
    assert list(dict.fromkeys(cell.workload for cell in cells)) == asked[0]
    per = Counter((cell.workload, cell.impl, cell.precision) for cell in cells)
    assert set(per) == {
        (workload, impl, precision) for workload in asked[0] for impl in impls for precision in asked[2]
    }
    assert len(set(per.values())) == 1, "every framework is asked for the same counts of devices"
    assert len(set(cells)) == len(cells) == len({cell.id for cell in cells})


@given(choices)
def test_batches_and_norm_groups_divide(choice: Choice) -> None:
    for cell in planned(choice):
        assert cell.batch_per_device * cell.devices == cell.global_batch
        assert cell.norm_groups % cell.devices == 0 and cell.global_batch % cell.norm_groups == 0
        assert (cell.engine == "plain") >= (cell.scaling is None and not choice.device_counts and choice.devices == 1)
        several = [
            Request(cell=cell, task="measure", folder="", ranks=cell.devices, rank=n) for n in range(cell.devices)
        ]
        taken = [sample for one in several for sample in range(*one.samples)]
        assert taken == list(range(cell.global_batch))


@given(choices, st.integers(1, 4), st.booleans())
def test_a_round_is_a_permutation_of_the_cells(choice: Choice, repeats: int, two: bool) -> None:
    cells = arms(planned(choice)) if two else planned(choice)
    jobs = list(plan.rounds(cells, range(repeats), choice.seed))
    for repeat in range(repeats):
        ran = Counter(job.cell for job in jobs if job.repeat == repeat)
        assert ran == Counter(cell for cell in cells if not (cell.emulated and repeat))
    assert [job.repeat for job in jobs] == sorted(job.repeat for job in jobs)
    assert jobs == list(plan.rounds(cells, range(repeats), choice.seed)), "the seed makes the order"


@given(st.integers(0, 99))
def test_the_order_is_drawn_anew_each_round(seed: int) -> None:
    cells = [replace(make_cell(), seed=n) for n in range(30)]
    first, second = ([job.cell for job in plan.rounds(cells, [n], seed)] for n in (0, 1))
    assert first != second and sorted(cell.seed for cell in second) == list(range(30))


values = {"str": st.text(max_size=5), "int": st.integers(0, 99), "str | None": st.none() | st.text(max_size=5)}
cells = st.builds(
    Cell, **{one.name: values[str(one.type).replace("<class '", "").replace("'>", "")] for one in fields(Cell)}
)


@given(cells, cells)
def test_ids_differ_where_cells_do(one: Cell, other: Cell) -> None:
    assert (one.id == other.id) == (asdict(one) == asdict(other))


@given(cells, st.sampled_from([field.name for field in fields(Cell)]), st.data())
def test_any_one_field_makes_another_id(cell: Cell, name: str, data: st.DataObject) -> None:
    value = getattr(cell, name)
    changed = replace(cell, **{name: value + 1 if isinstance(value, int) else f"{value or ''}x"})
    assert changed.id != cell.id
    assert Request.from_json(Request(cell=cell, task="trace", folder="f").to_json()).cell == cell
