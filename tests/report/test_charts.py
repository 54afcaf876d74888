"""Charts hold what the frame holds: each point is computed again from the records, and belongs to a cell."""

import math
import re
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

import report
from bench import metrics, store
from bench.stats import geometric_mean
from bench.stats.measured import family
from report import layout, sections
from report.cells import groups
from report.charts import breakeven, latency, matrix, memory, noise, precision, roofline, timeline, trend
from report.charts.trend import Moment
from report.frame import frame
from report.panels import Section
from tests.report import samples
from tests.report.test_frame import as_run

PALETTE = layout.colours(["torch", "tf", "jax"])


def rich() -> list[Any]:
    """Three frameworks at two precisions, noise in the windows, a sweep over devices."""
    cells = [
        samples.make_cell(w, i, precision=p) for w in ("gan", "lm") for i in samples.VARIANTS for p in ("fp32", "bf16")
    ]
    found = [samples.make_record(cell, n) for n in range(3) for cell in cells]
    for one in found:
        one["windows"] = [window | {"foreign_cpu_s": 0.01, "steal_s": 0.0} for window in one["windows"]]
    return [*found, *samples.swept((2, 8)), *samples.swept((2,), scaling="strong")[:0]]


@pytest.fixture
def everything() -> list[Section]:
    run = replace(as_run(*rich()), meta={"ceilings": [samples.make_ceiling()]})
    return sections.sections(1, groups(frame([run])), PALETTE)


def test_every_figure_is_one_that_plotly_takes_and_every_point_has_a_cell(everything: list[Section]) -> None:
    known = {record["cell_id"] for record in rich()}
    for section in everything:
        for panel in section.panels:
            layout.show(panel.figure)
            assert len(panel.alt) > 40 and section.table.lines
            told = [trace["meta"] for trace in panel.figure["data"] if "meta" in trace]
            assert told
            for trace in panel.figure["data"]:
                cells = trace.get("meta", {}).get("cells")
                assert cells is None or len(cells) == len(trace["y"]) == len(trace["hovertext"])
            assert {cell for one in told for cell in one.get("cells", [one.get("cell")])} <= known


def test_the_page_has_every_chart(everything: list[Section]) -> None:
    found = {section.id.removeprefix("run1-") for section in everything}
    assert found >= {
        "matrix", "throughput_per_s", "precision", "scaling-rate", "scaling", "scaling-parts", "losses",
        "host_memory_bytes", "memory-rate", "memory-devices", "cold-start", "break-even", "latency", "noise",
        "all-reduce", "roofline", "attainable_share",
    }  # fmt: skip


def test_the_matrix_shows_every_cell_with_its_state(mixed_run: Path) -> None:
    found = matrix.section(groups(report.load(mixed_run)), PALETTE)
    states = {(line.values[0], line.values[1]): line.values[3] for line in found.table.lines}
    assert states["GAN, tiny", "TensorFlow graph"] == "diverged"
    assert states["Language model, tiny", "PyTorch eager"] == "crashed", "one repeat of three crashed"
    assert states["Language model, tiny", "TensorFlow graph"] == "oom"
    assert states["Autoencoder, tiny", "PyTorch eager"] == "unsupported"
    assert sum(len(panel.figure["data"][0]["x"]) for panel in found.panels) == len(states) == 8
    letters = {letter for _, letter in matrix.STATES.values()}
    assert len(letters) == len(matrix.STATES)


@pytest.mark.parametrize("state", matrix.STATES)
def test_letters_stand_out_from_their_mark(state: str) -> None:
    colour = matrix.STATES[state][0]
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    light = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    assert 1.05 / (0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] + 0.05) >= 4.5


def test_what_a_precision_gains_is_paired_by_round() -> None:
    fp32, bf16 = (samples.make_cell("gan", "jax", precision=one) for one in ("fp32", "bf16"))
    rates = [1000.0, 1100.0, 900.0]
    records = [samples.make_record(fp32, n, rate=rate) for n, rate in enumerate(rates)]
    records += [samples.make_record(bf16, n, rate=1.5 * rate) for n, rate in enumerate(rates)]
    (panel,) = precision.section(groups(frame([as_run(*records)])), PALETTE).panels
    (trace,) = panel.figure["data"]
    steps = {(one["cell_id"], one["repeat"]): metrics.step_s(one) or 0.0 for one in records}
    expected = geometric_mean([steps[fp32.id, n] / steps[bf16.id, n] for n in range(3)])
    assert trace["x"] == pytest.approx([expected.mean])
    assert expected.high and trace["error_x"]["array"] == pytest.approx([expected.high - expected.mean])
    assert "drift 3.0e-05" in panel.alt


def test_memory_against_throughput() -> None:
    records = [samples.make_record(samples.make_cell("gan", impl), n) for impl in ("torch", "jax") for n in range(3)]
    (panel,) = memory.section(groups(frame([as_run(*records)])), PALETTE).panels
    for trace, impl in zip(panel.figure["data"], ("torch", "jax"), strict=True):
        own = [one for one in records if one["cell"]["impl"] == impl]
        used = geometric_mean([one["memory_bytes"]["host_peak"] - 400e6 for one in own])
        assert trace["x"] == pytest.approx([used.mean / 2**30])


def test_latency_quantiles_over_all_repeats() -> None:
    records = [samples.make_record(samples.make_cell("gan", "jax"), n) for n in range(3)]
    (panel,) = latency.section(groups(frame([as_run(*records)])), PALETTE).panels
    steps = sorted(value for one in records for value in one["latency_s"])
    box, middle = panel.figure["data"]
    assert middle["x"] == pytest.approx([1e3 * steps[len(steps) // 2]])
    assert box["base"] == pytest.approx([1e3 * steps[int(0.25 * len(steps))]])
    assert box["x"] == pytest.approx([1e3 * (steps[int(0.75 * len(steps))] - steps[int(0.25 * len(steps))])])


def test_break_even_is_where_the_lines_cross() -> None:
    phases = {
        "torch": {"import": 5.0, "init": 0.0, "compile": 55.0},
        "jax": {"import": 1.0, "init": 0.0, "compile": 9.0},
    }
    records = [
        samples.make_record(samples.make_cell("gan", impl), rate=rate, phases_s=phases[impl])
        for impl, rate in (("torch", 480.0), ("jax", 240.0))
    ]
    group = groups(frame([as_run(*records)]))
    (panel,) = breakeven.section(group, PALETTE).panels
    steps = [metrics.step_s(one) or 0.0 for one in records]
    crossing = 50 / (steps[1] - steps[0])
    assert f"{crossing:.0f} steps" in panel.caption
    one, other = breakeven.starts(group[0])
    assert one.total_s(crossing) == pytest.approx(other.total_s(crossing))
    for trace, start in zip(panel.figure["data"], (one, other), strict=True):
        assert trace["y"] == pytest.approx([start.total_s(n) for n in trace["x"]])


def placed(records: list[Any], *ceilings: Any) -> Section:
    return roofline.section(groups(frame([replace(as_run(*records), meta={"ceilings": list(ceilings)})])), PALETTE)


def test_the_roofline_has_each_cell_at_its_arithmetic_and_its_rate() -> None:
    cells = [samples.make_cell("autoencoder", impl, precision=p) for impl in ("torch", "jax") for p in ("fp32", "bf16")]
    records = [samples.make_record(cell, n) for n in range(3) for cell in cells]
    ceilings = [
        samples.make_ceiling(),
        samples.make_ceiling("torch", flops_per_s=1e11),
        samples.make_ceiling("tf", "bf16"),
    ]
    found = placed(records, *ceilings)
    assert [(one.title, one.setting) for one in found.panels] == [(samples.MACHINE["cpu"], p) for p in ("fp32", "bf16")]
    for panel, kind in zip(found.panels, ("fp32", "bf16"), strict=True):
        roof, *points = panel.figure["data"]
        assert roof["name"] == "attained" and roof["line"]["dash"] == "solid" and "meta" not in roof
        assert roof["y"][1:] == pytest.approx([2e11, 2e11]) and roof["x"][1] == pytest.approx(4.0)
        assert roof["y"][0] == pytest.approx(roof["x"][0] * 5e10), "on the slope by copying"
        for trace, impl in zip(points, ("torch", "jax"), strict=True):
            own = [one for one in records if one["cell"]["impl"] == impl and one["cell"]["precision"] == kind]
            rate = family(records, "flops_per_s").estimate(own[0]["cell_id"])
            assert trace["y"] == pytest.approx([rate.mean])
            assert trace["x"] == pytest.approx([77_070_336 / 1_119_264])
            assert rate.high and trace["error_y"]["array"] == pytest.approx([rate.high - rate.mean])
    for line, cell in zip(found.table.lines, (cells[0], cells[2], cells[1], cells[3]), strict=True):
        own = [77_070_336 / (metrics.step_s(one) or 0.0) / 2e11 for one in records if one["cell_id"] == cell.id]
        assert float(line.values[4].removesuffix("\N{NO-BREAK SPACE}%")) == pytest.approx(
            100 * geometric_mean(own).mean, rel=5e-3
        )
    assert {line.values[5] for line in found.table.lines} == {"-"}, "no maker's peak of a processor"
    said = found.panels[0].caption
    assert "by a product of JAX jit" in said and "by a copy of " in said and "jax jit" not in said, said


def test_the_roofline_of_a_known_device_has_its_makers_peak_too() -> None:
    gpu, devices = "NVIDIA H100 80GB HBM3", 4
    cell = samples.make_cell(
        "autoencoder", "jax", precision="bf16", platform="cuda", devices=devices, batch_per_device=12
    )
    on = {"machine": {"gpus": [{"name": gpu}] * 8}, "ranks": [{"rank": 0, "device": ", ".join([gpu] * devices)}]}
    record = samples.make_record(cell, **on)
    step = metrics.step_s(record) or 0.0
    ceiling = samples.make_ceiling("jax", "bf16", gpu, flops_per_s=7e14)
    found = placed([record], ceiling)
    attained, stated, point = found.panels[0].figure["data"]
    assert (attained["y"][-1], stated["y"][-1]) == (pytest.approx(7e14), 989.4e12)
    assert stated["line"]["dash"] == "dot" and stated["x"][1] == pytest.approx(989.4e12 / 3.35e12)
    assert point["y"] == pytest.approx([77_070_336 / step / devices]), "of one device"
    (line,) = found.table.lines
    assert line.values[8].startswith("70.7") and line.values[0] == gpu
    (alone,) = placed([record]).panels
    assert alone.figure["data"][0]["name"] == "stated by the maker", "without ceilings"
    assert placed([record | {"machine": {"gpus": [{"name": f"{gpu} MIG 1g.10gb"}]}}], ceiling).panels == []


def test_the_roofline_says_where_others_kept_the_device_from_more() -> None:
    records = [samples.make_record(samples.make_cell("autoencoder"))]
    busy = {"count": 10, "seconds": 0.1, "foreign_cpu_s": 0.1, "steal_s": 0.02, "cpu_s": 0.12}
    disturbed = samples.make_ceiling(matmul={"side": 1000, "windows": [busy] * 5})
    captions = [placed(records, one).panels[0].caption for one in (samples.make_ceiling(), disturbed)]
    assert ["Others took 50.0\N{NO-BREAK SPACE}% of the" in one for one in captions] == [False, True]


def test_the_roofline_leaves_out_what_has_no_place_in_it() -> None:
    records = [*samples.swept((2,)), samples.make_record(samples.make_cell("gan"))]  # its FLOPs are no GAN's
    found = placed(records, samples.make_ceiling())
    cells = {
        cell
        for panel in found.panels
        for trace in panel.figure["data"]
        for cell in trace.get("meta", {}).get("cells", [])
    }
    assert cells == {
        one["cell_id"] for one in records if one["cell"]["workload"] == "autoencoder" and one["cell"]["devices"] == 1
    }
    assert placed(records).panels == [], "nothing is known of the processor"


def test_noise_along_the_run() -> None:
    records = rich()[:36]
    found = noise.section(groups(frame([as_run(*records)])), PALETTE)
    assert found.panels[0].title == "Cores used by other processes"
    shares = [value for trace in found.panels[0].figure["data"] for value in trace["y"]]
    expected = [100 * (metrics.NOISE[0].value(one) or 0.0) for one in records]
    assert sorted(shares) == pytest.approx(sorted(expected))
    drift = next(panel for panel in found.panels if panel.title == noise.DRIFT)
    own = [metrics.step_s(one) or 0.0 for one in records if one["cell_id"] == records[0]["cell_id"]]
    values = [value for trace in drift.figure["data"] for value in trace["y"]]
    assert any(math.isclose(value, 100 * (own[0] / median(own) - 1), abs_tol=1e-9) for value in values)


def test_a_trend_needs_two_runs_and_goes_by_date() -> None:
    cell = samples.make_cell("gan", "jax")
    moments = [
        Moment(
            name=name,
            date=date,
            commit="abc",
            groups=groups(frame([as_run(*(samples.make_record(cell, n, rate=rate) for n in range(3)))])),
        )
        for name, date, rate in (
            ("late", "2026-11-24T10:00:00+00:00", 2000),
            ("early", "2026-11-20T10:00:00+00:00", 1000),
        )
    ]
    assert trend.section(moments[:1], PALETTE).panels == []
    (panel,) = trend.section(moments, PALETTE).panels
    (trace,) = panel.figure["data"]
    assert trace["x"] == [moments[1].date, moments[0].date]
    assert trace["y"][1] / trace["y"][0] == pytest.approx(2, rel=0.02)
    assert "commit abc" in trace["hovertext"][0]
    undated = [replace(one, date="") for one in moments]
    assert trend.section(undated, PALETTE).panels[0].figure["data"][0]["x"] == [0, 1]


def test_two_runs_in_a_report_have_a_trend(good_run: Path, tmp_path: Path) -> None:
    from tests.report.test_page import read

    other = samples.write_run(tmp_path / "other", store.load(good_run).records)
    assert "From run to run" in read(good_run, other).text
    assert "From run to run" not in read(good_run).text


def test_ideal_scaling_is_a_line_beside_the_measured() -> None:
    (section,) = [
        one
        for one in sections.sections(1, groups(frame([as_run(*samples.swept((2, 8)))])), PALETTE)
        if one.id == "run1-scaling-rate"
    ]
    (panel,) = section.panels
    measured, ideal = panel.figure["data"][:2]
    assert measured["x"] == ideal["x"] == [1, 2, 8]
    assert ideal["y"] == pytest.approx([n * measured["y"][0] for n in (1, 2, 8)])


def test_charts_of_a_part_of_a_frame_show_in_a_notebook(good_run: Path, mixed_run: Path) -> None:
    from plotly.graph_objects import Figure

    both = report.load(good_run, mixed_run)
    assert set(both["run"]) == {"good", "mixed"}
    own = report.draw(report.load(good_run).query("workload == 'lm'"))
    assert {type(one) for one in own.values()} == {Figure}
    assert len(own["throughput_per_s-1"].data[0].x) == 3
    assert "throughput_per_s-2" not in own
    assert own["throughput_per_s-1"].to_html(include_plotlyjs=False)


def test_the_parts_of_a_step_add_up_to_it() -> None:
    found = sections.sections(1, groups(frame([as_run(*samples.swept((2, 8)))])), PALETTE)
    (section,) = [one for one in found if one.id == "run1-scaling-parts"]
    (panel,) = section.panels
    totals = [sum(parts) for parts in zip(*(trace["x"] for trace in panel.figure["data"]), strict=True)]
    assert totals == pytest.approx([100.0] * 6)
    assert "imbalance" in panel.alt and len(section.key) == 3


def test_clocks_and_power_of_the_slowest_repeat() -> None:
    records = samples.on_gpus(["jax"])
    for one in records:
        one["windows"] = [{"steps": 1, "begin_s": 1.0 + n, "seconds": 0.9} for n in range(3)]
    records[1]["windows"] = [window | {"seconds": 0.99} for window in records[1]["windows"]]
    found = timeline.section(groups(frame([as_run(*records)])), PALETTE)
    (panel,) = found.panels
    assert panel.setting.endswith("round 2")
    (clock, power, other, _, crosses) = panel.figure["data"]
    during = records[1]["machine"]["gpus_seen"]["during"]
    assert clock["x"] == power["x"] == [look[0]["at_s"] for look in during] == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert clock["y"] == pytest.approx([look[0]["sm_hz"] / 1e9 for look in during])
    assert power["y"] == pytest.approx([look[0]["power_w"] for look in during])
    assert other["y"] == pytest.approx([look[1]["sm_hz"] / 1e9 for look in during])
    assert sorted(crosses["x"]) == [2.5, 2.5, 3.5, 3.5], "of both GPUs"
    assert "HwSlowdown, SwPowerCap" in crosses["hovertext"][crosses["x"].index(3.5)]
    (shade,) = panel.figure["layout"]["shapes"]
    assert (shade["x0"], shade["x1"]) == (1.0, 3.99)
    assert panel.caption == "Held down in 4 of 10 looks: HwSlowdown, SwPowerCap."
    (line,) = found.table.lines
    assert line.values[3] == "1.50\N{NO-BREAK SPACE}GHz (1.39\N{NO-BREAK SPACE}GHz to 1.75\N{NO-BREAK SPACE}GHz)"
    assert not found.folded


def test_records_without_times_or_without_gpus_show_no_timeline() -> None:
    def without(record: Any, *names: str) -> Any:
        looks = record["machine"]["gpus_seen"]["during"]
        seen = {"during": [[{k: v for k, v in one.items() if k not in names} for one in look] for look in looks]}
        return record | {"machine": record["machine"] | {"gpus_seen": seen}}

    timed, silent = samples.on_gpus(["jax"]), ("sm_hz", "power_w")
    assert timeline.section(groups(frame([as_run(*timed)])), PALETTE).panels
    for records in (
        samples.all_ok(),
        [without(one, "at_s") for one in timed],
        [without(one, *silent) for one in timed],
    ):
        assert timeline.section(groups(frame([as_run(*records)])), PALETTE).panels == []


@pytest.mark.parametrize(
    "during",
    [
        "x",
        [1],
        [[1]],
        [[{"at_s": "nan", "sm_hz": 1}]],
        [[{"at_s": 1, "sm_hz": "inf", "power_w": [2]}]],
        [[{"at_s": 10**400}]],
    ],
)
def test_odd_looks_are_left_out(during: Any) -> None:
    (first, *_) = samples.on_gpus(["jax"])
    first["machine"]["gpus_seen"]["during"] = during
    assert timeline.section(groups(frame([as_run(first)])), PALETTE).panels == []


def test_many_timelines_are_folded() -> None:
    records = samples.on_gpus(workloads=("lm", "gan"))
    found = timeline.section(groups(frame([as_run(*records)])), PALETTE)
    assert len(found.panels) == 6 and found.folded


def test_energy_and_price_have_charts_of_their_own() -> None:
    found = {one.id: one for one in sections.sections(1, groups(frame([as_run(*samples.on_gpus())])), PALETTE)}
    assert "J/token" in found["run1-joules_per_item"].panels[0].figure["layout"]["xaxis"]["title"]["text"]
    assert "/M tokens" in found["run1-price_per_million"].panels[0].alt.replace("\N{NO-BREAK SPACE}", " ")
    bare = {one.id for one in sections.sections(1, groups(frame([as_run(*samples.all_ok())])), PALETTE)}
    assert not bare & {"run1-joules_per_item", "run1-price_per_million", "run1-timeline"}


@pytest.mark.parametrize("text", samples.HOSTILE)
def test_reasons_of_strangers_are_text(text: str) -> None:
    (record, *_) = samples.on_gpus(["jax"])
    record["machine"] = samples.seen([1e9, 2e9], [[text], [text]])
    (panel,) = timeline.section(groups(frame([as_run(record)])), PALETTE).panels
    crosses = panel.figure["data"][-1]
    assert len(crosses["hovertext"]) == 2
    for told in crosses["hovertext"]:
        assert layout.escaped(text.encode("utf-8", "replace").decode()) in told
        assert not re.search(r"<(?!br>)", told)
