"""Figures hold the frame's numbers, for each metric, and say what they mean without colour."""

import math
from pathlib import Path
from typing import Any

import pytest

import report
from bench.metrics import METRICS
from bench.units import scale, scaled
from report import figures, layout
from report.cells import Group, estimate, groups
from report.frame import frame
from report.trajectories import differences, largest_difference
from tests.report import samples
from tests.report.test_frame import as_run

PALETTE = layout.colours(["torch", "tf", "jax"])


@pytest.fixture
def gan(good_run: Path) -> Group:
    return groups(report.load(good_run))[0]


@pytest.fixture
def bad_gan(mixed_run: Path) -> Group:
    return groups(report.load(mixed_run))[0]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_bar_for_each_cell_that_has_the_metric(gan: Group, metric: Any) -> None:
    figure = figures.bars(gan, metric.name, PALETTE)
    layout.show(figure)  # plotly accepts every property
    expected = [one for cell in gan.cells if (one := estimate(cell, metric.name))]
    (trace,) = figure["data"]
    factor, unit = scale([one.high or one.mean for one in expected], gan.unit(metric.name))
    assert trace["x"] == [one.mean / factor for one in expected]
    for one, x, up, down in zip(
        expected, trace["x"], *(trace["error_x"][side] for side in ("array", "arrayminus")), strict=True
    ):
        assert one.high is not None
        assert one.low is not None
        assert math.isclose((x + up) * factor, one.high)
        assert math.isclose((x - down) * factor, one.low)
    assert figure["layout"]["xaxis"]["title"]["text"] == (unit if expected else "")


def test_hover_tells_value_interval_repeats_cell_and_verdict(gan: Group) -> None:
    said = figures.bars(gan, "throughput_per_s", PALETTE)["data"][0]["hovertext"][0]
    for part in ("PyTorch eager", "k images/s", "95 % interval", "3 repeats", gan.cells[0].id, "proven"):
        assert part.replace(" ", "") in said.replace("\N{NO-BREAK SPACE}", "").replace(" ", "")


def test_order_and_colour_of_a_framework_are_the_same_in_every_figure(gan: Group) -> None:
    assert [cell.impl for cell in gan.cells] == ["torch", "tf", "jax"]
    expected = [layout.COLOURS[cell.impl] for cell in gan.cells]
    assert figures.bars(gan, "step_s", PALETTE)["data"][0]["marker"]["color"] == expected
    assert [trace["line"]["color"] for trace in figures.losses(gan, "generator", PALETTE)["data"][1:4]] == expected
    for trace in figures.cold_start(gan, PALETTE, legend=False)["data"]:
        assert trace["marker"]["color"] == expected


def test_a_framework_that_nobody_knows_gets_a_colour_of_its_own() -> None:
    palette = layout.colours(["zeta", "alpha", "jax"])
    assert len({palette[name] for name in ("zeta", "alpha", "jax", "torch", "tf")}) == 5


def test_a_diverged_cell_is_struck_out(bad_gan: Group) -> None:
    figure = figures.bars(bad_gan, "throughput_per_s", PALETTE)
    notes = [note["text"] for note in figure["layout"]["annotations"]]
    assert "<s>TensorFlow graph</s>" in notes
    assert any(note.endswith("</s> diverged") for note in notes)
    assert "JAX jit" in notes
    assert figure["data"][0]["marker"]["pattern"]["shape"] == ["", "x", ""]


def test_a_failed_cell_is_a_word_and_no_hole(mixed_run: Path) -> None:
    lm = groups(report.load(mixed_run))[2]
    for figure in (figures.bars(lm, "throughput_per_s", PALETTE), figures.cold_start(lm, PALETTE)):
        layout.show(figure)
        assert "oom" in [note["text"] for note in figure["layout"]["annotations"]]
        assert figure["data"][0]["y"] == [0, 2]


def test_losses_of_every_framework_over_the_steps(gan: Group) -> None:
    figure = figures.losses(gan, "generator", PALETTE)
    layout.show(figure)
    exact, above, below = figure["data"][0], figure["data"][1:4], figure["data"][4:]
    reference = gan.cells[0].ok[0]["reference_losses"]["generator"]
    assert (exact["name"], exact["y"]) == ("float64", reference)
    for cell, trace in zip(gan.cells, above, strict=True):
        assert trace["y"] == list(cell.losses()["generator"])
    assert [trace["line"]["width"] for trace in (exact, *above)] == [19, 11, 7, 3]  # each shows beside the one above it
    for cell, trace in zip(gan.cells, below, strict=True):
        assert trace["y"] == differences(reference, cell.losses()["generator"])
    found = largest_difference(gan, "generator")
    assert found
    assert found[0] == max(max(trace["y"]) for trace in below)


def test_the_largest_difference_leaves_out_what_diverged(bad_gan: Group) -> None:
    found = largest_difference(bad_gan, "generator")
    assert found
    assert found[0] < 1e-6
    assert found[2] != "TensorFlow graph"
    assert found[3] == "float64"


def of_losses(torch: list[float], jax: list[float]) -> Group:
    found = [
        samples.make_record(samples.make_cell("lm", impl), losses={"cross_entropy": losses}, parity=samples.PROVEN)
        for impl, losses in (("torch", torch), ("jax", jax))
    ]
    (group,) = groups(frame([as_run(*found)]))
    return group


@pytest.mark.parametrize("jax", [[1.0, 1.0], [1 + 2**-52, 1.0], [5e-324, 1.0], [1e308, -1e308], [0.0, math.nan]])
@pytest.mark.parametrize("torch", [[1.0, 1.0], [1.0, 5e-324], [0.0, 0.0], [1e-308, 1e308], [-1e308, 1e308]])
def test_differences_of_any_size_can_be_drawn(torch: list[float], jax: list[float]) -> None:
    layout.show(figures.losses(of_losses(torch, jax), "cross_entropy", PALETTE))


def test_losses_that_are_no_numbers_leave_gaps() -> None:
    group = of_losses([2.0, 1.0, 1.5], [2.0, math.nan, math.inf])
    figure = figures.losses(group, "cross_entropy", PALETTE)
    layout.show(figure)
    assert figure["data"][1]["y"] == [2.0, None, None]
    (zero, *others), axis = figure["data"][2]["y"], figure["layout"]["yaxis2"]
    assert others == [None, None]
    assert axis["ticktext"][axis["tickvals"].index(zero)] == "0"


def test_cold_start_counts_cold_repeats_alone(good_run: Path) -> None:
    data = report.load(good_run)
    data.loc[data["repeat"] > 0, "compile_cache"] = "warm"
    group = groups(data)[0]
    figure = figures.cold_start(group, PALETTE, legend=False)
    layout.show(figure)
    total = sum(trace["x"][0] for trace in figure["data"])
    first = group.cells[0].ok[0]
    assert math.isclose(total, first["import_s"] + first["init_s"] + first["compile_s"])


@pytest.mark.parametrize("text", samples.HOSTILE)
def test_plotly_gets_no_tag_from_a_record(text: str) -> None:
    for group in groups(frame([as_run(*samples.hostile(text))])):
        made = [figures.bars(group, "throughput_per_s", PALETTE), figures.cold_start(group, PALETTE)]
        made += [figures.losses(group, name, PALETTE) for name in group.cells[0].losses()]
        for figure in made:
            shown = [note["text"] for note in figure["layout"].get("annotations", ())]
            shown += [line for trace in figure["data"] for line in trace.get("hovertext", ())]
            shown += [trace.get("name", "") for trace in figure["data"]]
            shown += [
                axis["title"]["text"] for name, axis in figure["layout"].items() if "axis" in name and "title" in axis
            ]
            for line in shown:
                assert "<" not in line.replace("<br>", "").replace("<s>", "").replace("</s>", "")


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (999.6, "images/s", "1.00 k images/s"), (3421, "tokens/s", "3.42 k tokens/s"), (0.00123, "s", "1.23 ms"),
        (0.00099999, "s", "1.00 ms"), (1500, "s", "1500 s"), (1010 * 2**20, "B", "1010 MiB"), (2**30, "B", "1.00 GiB"),
        (0, "B", "0 B"), (1.2e11, "FLOP/s", "120 GFLOP/s"), (math.inf, "s", "inf s"),
    ],
)  # fmt: skip
def test_numbers_for_people(value: float, unit: str, expected: str) -> None:
    assert scaled(value, unit).replace("\N{NO-BREAK SPACE}", " ") == expected
