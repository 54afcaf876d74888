"""What the page says in words: winners only where the intervals allow it."""

import math

import pytest

from bench.record import Record
from bench.stats import geometric_mean, holm
from report.answer import answer, boards
from report.cells import Group, apart, compared, groups, ratio
from report.frame import frame
from tests.report import samples
from tests.report.test_frame import as_run


def only_group(records: list[Record]) -> Group:
    (found,) = groups(frame([as_run(*records)]))
    return found


def at_rates(**rates: list[float]) -> list[Record]:
    return [
        samples.make_record(samples.make_cell("gan", impl), repeat, rate=rate)
        for impl, found in rates.items()
        for repeat, rate in enumerate(found)
    ]


def test_the_fastest_is_named_with_how_much_and_its_interval() -> None:
    said = answer(only_group(at_rates(torch=[1000, 1010, 1005], jax=[2000, 2010, 1990], tf=[500, 505, 495])))
    assert (said.kind, said.winner) == ("winner", "jax")
    assert said.headline.startswith("JAX jit is fastest: 2.0")
    assert "±" in said.headline
    assert [line.split(" the rate of ")[1].split(",")[0] for line in said.details] == [
        "PyTorch eager",
        "TensorFlow graph",
    ]
    assert said.proof[0].startswith("All three are proven")


def test_within_noise_there_is_no_winner() -> None:
    said = answer(only_group(at_rates(torch=[1000, 1100, 1050], jax=[1010, 1060, 1110], tf=[500, 505, 495])))
    assert (said.kind, said.winner) == ("noise", None)
    assert "No winner: JAX jit" in said.headline
    assert "PyTorch eager" in said.headline
    assert "within noise" in said.headline
    assert "fastest" not in said.headline
    assert ["TensorFlow graph" in line for line in said.details] == [True]


def test_a_winner_is_told_from_all_with_holms_correction() -> None:
    group = only_group(at_rates(torch=[1000, 1010, 1005], jax=[1100, 1111, 1104], tf=[500, 505, 495]))
    jax, torch, tf = group.ranked
    found = [one.p for other in (torch, tf) if (one := compared(jax, other, "throughput_per_s"))]
    assert apart(jax, [torch, tf], "throughput_per_s") == [p is not None and p < 0.05 for p in holm(found)]
    assert apart(jax, [], "throughput_per_s") == []


def test_below_three_repeats_there_is_no_winner() -> None:
    said = answer(only_group(at_rates(torch=[1000, 1001], jax=[2000, 2001])))
    assert (said.kind, said.winner) == ("few", None)
    assert "No winner is named" in said.headline


def test_one_alone_and_none_at_all() -> None:
    assert answer(only_group(at_rates(jax=[1000, 1001, 1002]))).kind == "alone"
    failed = [samples.make_failure(samples.make_cell(), "oom", "no memory left")]
    said = answer(only_group(failed))
    assert said.kind == "none"
    assert said.proof == []
    assert "no memory left" in said.details[0]


def test_the_ratio_is_paired_by_round() -> None:
    torch, jax = [1000.0, 1500.0, 800.0], [2000.0, 3010.0, 1610.0]
    found = only_group(at_rates(torch=torch, jax=jax))
    values = {cell.impl: [row["throughput_per_s"] for row in cell.ok] for cell in found.cells}
    expected = geometric_mean([a / b for a, b in zip(values["jax"], values["torch"], strict=True)])
    told = ratio(found.cells[1], found.cells[0], "throughput_per_s")
    assert told and (told.mean, told.low, told.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert math.isclose(expected.mean, 2, rel_tol=0.02)


def test_a_diverged_cell_takes_no_part_in_the_ranking() -> None:
    found = groups(frame([as_run(*samples.mixed())]))[0]
    assert [cell.label for cell in found.ranked] == ["JAX jit", "PyTorch eager"]
    said = answer(found)
    assert "TensorFlow" not in said.headline + " ".join(said.details)
    assert said.verdict == "diverged"
    assert any("TensorFlow graph diverged" in line and "3.1e-03" in line for line in said.proof)


@pytest.mark.parametrize(
    "changed", [{"precision": "fp64"}, {"global_batch": 96}, {"devices": 2}, {"optimizer": "adamw"}]
)
def test_unlike_mathematics_is_never_ranked_together(changed: dict[str, object]) -> None:
    one = samples.make_record(samples.make_cell("gan", "torch"))
    other = samples.make_record(samples.make_cell("gan", "jax", **changed))
    assert len(groups(frame([as_run(one, other)]))) == 2


def test_another_spec_hash_is_another_group() -> None:
    one, other = (samples.make_record(samples.make_cell("gan", impl)) for impl in ("torch", "jax"))
    assert len(groups(frame([as_run(one, other | {"spec_hash": "other"})]))) == 2


def test_a_task_is_answered_over_its_precisions_with_its_memory() -> None:
    records = at_rates(torch=[1000, 1010, 1005], jax=[2000, 2010, 1990])
    low = [samples.make_record(samples.make_cell("gan", "torch", precision="bf16"), n, rate=4000 + n) for n in range(3)]
    (board,) = boards(groups(frame([as_run(*records, *low)])))
    assert board.overall.headline.startswith("PyTorch eager bf16 is fastest: 3.99")
    assert "of memory over the baseline" in board.overall.headline
    assert [precision for precision, _ in board.precisions] == ["fp32", "bf16"]
    assert [one.winner for _, one in board.precisions] == ["jax", None]
    assert "bf16" not in board.setting and "fp32" not in board.setting
    assert board.overall.proof[0].startswith("All three are proven")


def test_one_precision_is_one_answer() -> None:
    (board,) = boards(groups(frame([as_run(*at_rates(jax=[1000, 1001, 1002]))])))
    assert board.precisions == []
    assert board.setting.startswith("fp32, ")


def test_the_base_of_a_sweep_is_no_rival_of_the_plain_cell() -> None:
    plain, base = (samples.make_cell("gan", "jax", engine=engine) for engine in ("plain", "distributed"))
    records = [samples.make_record(cell, n, rate=1000 + n) for cell in (plain, base) for n in range(3)]
    assert [board.further for board in boards(groups(frame([as_run(*records)])))] == [False, True]


def test_of_many_cells_a_sentence_names_few() -> None:
    cells = [samples.make_cell("gan", impl, precision=one) for impl in samples.VARIANTS for one in ("fp32", "bf16")]
    (board,) = boards(groups(frame([as_run(*(samples.make_record(cell, rate=1000) for cell in cells))])))
    assert "the highest rate is that of" in board.overall.headline
    assert board.overall.headline.count("images/s") == 1
    tied = [samples.make_record(cell, n, rate=1000 + 50 * n) for cell in cells for n in range(3)]
    (board,) = boards(groups(frame([as_run(*tied)])))
    assert "and 3 more are within noise" in board.overall.headline
