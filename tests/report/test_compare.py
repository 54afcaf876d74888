"""Comparisons: what is compared with what, that its numbers are right, and that only what is real is called so."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench import cli, store
from bench.metrics import METRICS
from bench.record import Record
from bench.stats import measured
from bench.stats.compare import Comparison, compare_cells
from bench.stats.family import fit
from report import load
from report.cells import estimate, groups, ratio
from report.compare import differences, matching
from report.compare.command import between, within
from report.compare.differences import mean_ratio
from tests.report import samples
from tests.report.test_page import Page

REPEATS = 5


def run_of(folder: Path, name: str, slower: float = 1.0, seed: int = 0, noise: float = 0.01, **changed: Any) -> Path:
    """Three workloads in two frameworks, with noise; JAX's language model so many times slower."""
    draw = np.random.default_rng(seed)
    records: list[Record] = []
    for workload in samples.LOSSES:
        for impl in ("torch", "jax"):
            cell = samples.make_cell(workload, impl)
            for n in range(REPEATS):
                rate = samples.RATES[workload] * math.exp(noise * draw.normal())
                rate /= slower if (workload, impl) == ("lm", "jax") else 1
                records.append(samples.make_record(cell, n, rate=rate, **changed))
    return samples.write_run(folder / name, records)


def raw(run: Path) -> tuple[dict[str, dict[int, float]], dict[str, float]]:
    """Step times from the file itself, by cell and repeat, and how well windows tell them."""
    found: dict[str, dict[int, float]] = {}
    spreads: dict[str, list[float]] = {}
    for line in (run / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        logs = np.log([window["seconds"] / window["steps"] for window in record["windows"]])
        found.setdefault(record["cell_id"], {})[record["repeat"]] = float(np.exp(stats.trim_mean(logs, 0.2)))
        spreads.setdefault(record["cell_id"], []).append(winsorized_variance(logs))
    return found, {name: float(np.mean(of)) for name, of in spreads.items()}


def winsorized_variance(logs: Any) -> float:
    """Of a mean trimmed by a fifth on either side (Tukey and McLaughlin 1963)."""
    cut = int(0.2 * len(logs))
    winsorized = stats.mstats.winsorize(logs, (cut / len(logs), cut / len(logs)))
    return float(np.var(winsorized, ddof=1) * len(logs) / (len(logs) - 2 * cut) ** 2)


def holm(p: list[float]) -> list[float]:
    order = np.argsort(p)
    scaled = np.maximum.accumulate(np.sort(p) * (len(p) - np.arange(len(p))))
    return [float(min(1.0, scaled[list(order).index(n)])) for n in range(len(p))]


def test_the_numbers_of_two_runs_follow_from_their_files(tmp_path: Path) -> None:
    base, new = run_of(tmp_path, "base", seed=1), run_of(tmp_path, "new", 1.08, seed=2)
    told = between(base, new, None).found
    old, now = (fit(*raw(run)) for run in (base, new))
    rates = [one for one in told if one.metric.name == "throughput_per_s"]
    assert len(rates) == 6
    for one in rates:
        expected = compare_cells((old, one.pair.new.id), (now, one.pair.new.id))
        assert numbers(one.found) == pytest.approx(numbers(expected), rel=1e-6)
        assert one.found.method == "welch"
    assert [one.p for one in told] == pytest.approx(holm([one.found.p or 0.0 for one in told]), rel=1e-6)


def numbers(found: Comparison) -> tuple[float, ...]:
    assert found.low and found.high and found.p is not None and found.freedom
    return found.ratio, found.low, found.high, found.p, found.freedom


def test_the_numbers_within_a_run_follow_from_its_file(tmp_path: Path) -> None:
    run = run_of(tmp_path, "run", 1.5)
    family = fit(*raw(run))
    told = [one for one in within(run, "impl", None).found if one.metric.name == "throughput_per_s"]
    assert [(one.pair.base.impl, one.pair.new.impl) for one in told] == [("torch", "jax")] * 3
    for one in told:
        expected = compare_cells((family, one.pair.base.id), (family, one.pair.new.id))
        assert numbers(one.found) == pytest.approx(numbers(expected), rel=1e-6)
        assert one.found.method == "paired"


def test_terminal_report_and_comparison_agree(tmp_path: Path) -> None:
    run = run_of(tmp_path, "run", 1.5)
    family = measured.family(store.load(run).records, "throughput_per_s")
    cells = [cell for group in groups(load(run)) for cell in group.cells]
    assert len(cells) == 6
    for cell in cells:
        ours, theirs = family.estimate(cell.id), estimate(cell, "throughput_per_s")
        assert theirs and (ours.mean, ours.low, ours.high) == pytest.approx((theirs.mean, theirs.low, theirs.high))
    told = [one for one in within(run, "impl", None).found if one.metric.name == "throughput_per_s"]
    for one in told:
        expected = compare_cells((family, one.pair.new.id), (family, one.pair.base.id))
        assert numbers(one.found) == pytest.approx(numbers(expected))
        shown = ratio(one.pair.new, one.pair.base, "throughput_per_s")
        assert shown and (shown.low, shown.high) == pytest.approx((one.found.low, one.found.high))


def test_a_geometric_mean_has_the_interval_of_its_parts(tmp_path: Path) -> None:
    told = [
        one
        for one in between(run_of(tmp_path, "a", seed=1), run_of(tmp_path, "b", seed=2), None).found
        if (one.metric.name, one.pair.new.impl) == ("throughput_per_s", "jax")
    ]
    mean = mean_ratio(told)
    assert mean and mean.low and mean.high
    assert mean.mean == pytest.approx(math.prod(one.found.ratio for one in told) ** (1 / 3))
    variance = sum((one.found.error or 0) ** 2 for one in told)
    freedom = variance**2 / sum((one.found.error or 0) ** 4 / (one.found.freedom or 0) for one in told)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance) / 3
    assert (mean.low, mean.high) == pytest.approx((mean.mean * math.exp(-half), mean.mean * math.exp(half)))


def compare(*arguments: Any) -> int:
    return cli.guard(lambda: cli.app(["compare", *map(str, arguments)], standalone_mode=False))


Said = pytest.CaptureFixture[str]


def test_a_planted_regression_is_named_and_ends_in_1(tmp_path: Path, capsys: Said) -> None:
    base, new = run_of(tmp_path, "base", seed=1), run_of(tmp_path, "new", 1.3, seed=2)
    assert compare(base, new, "--fail-on-regression", "5%") == 1
    said = capsys.readouterr().out
    assert "1 regression past 5.00 %" in said
    assert re.search(r"Language model, tiny, JAX jit.*throughput (2|3)\d\.\d % worse", said)
    assert compare(base, new) == 0, "without the flag nothing fails"
    assert compare(new, base, "--fail-on-regression", "5%") == 0, "faster is no regression"


def test_what_is_real_but_small_passes_and_what_is_noise_too(tmp_path: Path) -> None:
    base = run_of(tmp_path, "base", seed=1, noise=0.001)
    small, noisy = (
        run_of(tmp_path, "small", 1.03, seed=2, noise=0.001),
        run_of(tmp_path, "noisy", 1.3, seed=3, noise=0.6),
    )
    assert compare(base, small, "--fail-on-regression", "5%") == 0
    assert compare(base, small, "--fail-on-regression", "2%") == 1
    assert compare(base, noisy, "--fail-on-regression", "5%") == 0


def test_newly_failing_and_newly_diverged_fail_the_gate(tmp_path: Path, capsys: Said) -> None:
    base = samples.write_run(tmp_path / "base", samples.all_ok(workloads=["gan"]))
    tf, torch = samples.make_cell("gan", "tf"), samples.make_cell("gan", "torch")
    rest = [one for one in samples.all_ok(workloads=["gan"]) if one["cell"]["impl"] == "jax"]
    parity = samples.PROVEN | {"verdict": "diverged", "reason": "generator is off"}
    new = samples.write_run(
        tmp_path / "new",
        [
            *rest,
            samples.make_failure(tf, "oom", "no memory left"),
            *(samples.make_record(torch, n, parity=parity) for n in range(3)),
        ],
    )
    assert compare(base, new, "--fail-on-regression", "5%") == 1
    said = capsys.readouterr().out
    assert "newly failing: GAN, tiny, TensorFlow graph" in said and "oom, no memory left" in said
    assert "newly diverged: GAN, tiny, PyTorch eager" in said and "generator is off" in said
    assert "Throughput of 1 pair of cells" in said, "what diverged has no ratio"


def test_unlike_mathematics_is_never_compared(tmp_path: Path, capsys: Said) -> None:
    base, new = run_of(tmp_path, "base"), run_of(tmp_path, "new", spec_hash="another")
    assert compare(base, new) == 2
    assert "spec_hash" in capsys.readouterr().err
    mixed = samples.write_run(
        tmp_path / "mixed",
        [
            one | {"spec_hash": "another"} if one["cell"]["workload"] == "gan" else one
            for one in store.load(base).records
        ],
    )
    assert compare(base, mixed) == 0
    said = capsys.readouterr().out
    assert "Not compared, as they train something else (spec_hash)" in said
    assert said.count("GAN") == 2


def test_unlike_starts_and_threads_are_told(tmp_path: Path, capsys: Said) -> None:
    base = run_of(tmp_path, "base")
    threads = {"intra": 1, "inter": 1, "affinity": [0], "total": 3}
    assert compare(base, run_of(tmp_path, "new", start="cold", threads=threads)) == 0
    said = capsys.readouterr().out
    assert "started: fork against cold" in said and "threads: 2 against 1" in said
    assert compare(base, run_of(tmp_path, "like")) == 0
    assert "against" not in capsys.readouterr().out.split("cell ")[1]


def test_machines_and_software_that_differ_come_first(tmp_path: Path, capsys: Said) -> None:
    base = run_of(tmp_path, "base")
    new = samples.write_run(
        tmp_path / "new",
        store.load(run_of(tmp_path, "x", versions={"torch": "2.13.1", "numpy": "2.4.6"})).records,
        machine=samples.MACHINE | {"cpu": "Another processor", "load_1min": 3.0},
        repeats=9,
    )
    old = (new / store.RECORDS_FILE).read_text()
    (new / store.RECORDS_FILE).write_text(old.replace("source of jax", "other of jax"))
    assert compare(base, new) == 0
    said = capsys.readouterr().out
    assert said.index("Another processor") < said.index("NEW / BASE")
    assert "2.13.1" in said and "load" not in said
    assert re.search(r"repeats +3 +9", said)
    assert re.search(r"code of jax lm +source of ja +other of jax", said) and "code of torch" not in said


def test_added_and_removed_cells_are_told(tmp_path: Path, capsys: Said) -> None:
    base = samples.write_run(tmp_path / "base", samples.all_ok(workloads=["gan", "lm"], repeats=1))
    new = samples.write_run(tmp_path / "new", samples.all_ok(workloads=["gan", "autoencoder"], repeats=1))
    assert compare(base, new) == 0
    said = capsys.readouterr().out
    assert "Autoencoder" in said.split("Only in NEW")[1].split("Only in BASE")[0]
    assert "Language model" in said.split("Only in BASE")[1]
    assert "too few repeats for a verdict" in said
    assert compare(base, new, "--fail-on-regression", "5%") == 2, "a gate that sees nothing is not green"


def test_compile_times_are_compared_where_there_are_enough_cold_starts(tmp_path: Path) -> None:
    base, new = run_of(tmp_path, "base"), run_of(tmp_path, "new")
    names = {one.metric.name for one in between(base, new, None).found}
    assert names == {"throughput_per_s", "host_memory_bytes", "compile_s"}
    warm = run_of(tmp_path, "warm", compile_cache="warm")
    assert "compile_s" not in {one.metric.name for one in between(base, warm, None).found}


def test_more_memory_is_more_not_slower(tmp_path: Path) -> None:
    base, new = (
        run_of(tmp_path, "base"),
        run_of(tmp_path, "new", memory_bytes={"host_peak": 3e9, "host_steady": 2e9, "host_baseline": 400e6}),
    )
    assert {one.verdict for one in between(base, new, None).found if one.metric.unit == "B"} == {"more"}


@pytest.mark.parametrize(
    ("by", "base", "pairs"),
    [
        ("precision", None, {("fp32", "bf16")}),
        ("precision", "bf16", {("bf16", "fp32")}),
        ("impl", "jax", {("jax", "torch")}),
        ("variant", None, {("compile", "eager")}),
        ("variant", "eager", {("eager", "compile")}),
    ],
)
def test_within_a_run_cells_differ_in_one_thing(tmp_path: Path, by: str, base: str | None, pairs: set[Any]) -> None:
    eager = samples.make_cell("gan", "torch")
    cells = [
        eager,
        replace(eager, precision="bf16"),
        replace(eager, variant="compile"),
        samples.make_cell("gan", "jax"),
    ]
    run = samples.write_run(tmp_path / "run", [samples.make_record(cell, n) for cell in cells for n in range(3)])
    found = matching.match_within(load(run), by, base).pairs
    assert {(one.base.rows[0][by], one.new.rows[0][by]) for one in found} == pairs
    assert all(one.found.method == "paired" for one in within(run, by, base).found)


WRONG: dict[str, tuple[Callable[[Path], list[Any]], str]] = {
    "one run": (lambda one: [one], "give two runs"),
    "the same twice": (lambda one: [one, one.parent / "." / one.name], "given twice"),
    "two with by": (lambda one: [one, one, "--by", "impl"], "within one run"),
    "unknown by": (lambda one: [one, "--by", "size"], "valid: impl, precision, variant"),
    "unknown base": (lambda one: [one, "--by", "impl", "--base", "mxnet"], "valid: jax, torch"),
    "base alone": (lambda one: [one, one, "--base", "torch"], "give --by"),
    "by and gate": (lambda one: [one, "--by", "impl", "--fail-on-regression", "5%"], "BASE and a NEW"),
    "nothing differs": (lambda one: [one, "--by", "precision"], "no two cells"),
    "no run": (lambda one: [one, one.parent], "is no run"),
    "format": (lambda one: [one, "--by", "impl", "--format", "xml"], "valid: table, markdown"),
    "threshold": (lambda one: [one, one, "--fail-on-regression", "much"], "give a share"),
    "target": (lambda one: [one, "--by", "impl", "-o", one / "run.json"], "cannot write"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_one_line_and_exit_2(tmp_path: Path, capsys: Said, name: str) -> None:
    arguments, expected = WRONG[name]
    assert compare(*arguments(run_of(tmp_path, "run"))) == 2
    said = capsys.readouterr()
    assert expected in said.err and said.err.count("\n") == 1
    assert said.out == ""


def test_a_torn_line_is_a_warning(tmp_path: Path, capsys: Said) -> None:
    base, new = run_of(tmp_path, "base"), run_of(tmp_path, "new")
    with (new / store.RECORDS_FILE).open("a") as file:
        file.write('{"schema": 1, "cell": {"wor')
    with pytest.warns(UserWarning, match="no whole record"):
        assert compare(base, new, "-o", tmp_path / "page.html") == 0
    assert "no whole record" in Page((tmp_path / "page.html").read_text()).text


@pytest.mark.parametrize("text", samples.HOSTILE)
def test_hostile_text_stays_text(tmp_path: Path, capsys: Said, text: str) -> None:
    runs = [
        samples.write_run(tmp_path / name, samples.hostile(text) * 3, **samples.hostile_meta(f"{text} {name}"))
        for name in ("base", "new")
    ]
    for format in ("table", "markdown"):
        assert compare(*runs, "--format", format, "-o", tmp_path / "page.html") in (0, 2)
        said = capsys.readouterr().out
        assert "\x1b" not in said
        assert format == "table" or "<script>" not in said
    if (tmp_path / "page.html").exists():
        tags = Page((tmp_path / "page.html").read_text()).tags
        assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
        assert [attrs.get("id") for tag, attrs in tags if tag == "script"] == ["data", "plotly", None]


def test_markdown_is_a_table(tmp_path: Path, capsys: Said) -> None:
    assert compare(run_of(tmp_path, "a", seed=1), run_of(tmp_path, "b", 2, seed=2), "--format", "markdown") == 0
    lines = capsys.readouterr().out.splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("| cell"))
    widths = {line.replace("\\|", "").count("|") for line in lines[head : head + 8]}
    assert len(widths) == 1
    assert any("slower" in line and "Language model" in line for line in lines)


def test_energy_is_compared_where_both_sides_have_it(tmp_path: Path) -> None:
    joules = {"total": 300.0, "idle_w": 70.0, "source": "a counter"}
    base, same = (run_of(tmp_path, name, energy_j=joules, seed=n) for n, name in enumerate(("base", "same")))
    more = run_of(tmp_path, "more", energy_j=joules | {"total": 390.0})
    told = [one for one in between(base, more, None).found if one.metric.name == "joules_per_item"]
    assert len(told) == 6 and {one.verdict for one in told} == {"more"}
    assert [one.found.ratio for one in told] == pytest.approx([1.3] * 6, rel=0.1)
    assert "more" not in {one.verdict for one in between(base, same, None).found}
    bare = run_of(tmp_path, "bare")
    assert not [one for one in between(base, bare, None).found if one.metric.name == "joules_per_item"]


def test_one_price_for_both_sides_is_no_further_test(tmp_path: Path) -> None:
    """The verdict is the throughput's, and no other changes for it. Prices that differ are a test of their own."""
    base, new = run_of(tmp_path, "base", seed=1), run_of(tmp_path, "new", 1.3, seed=2)
    bare, priced = between(base, new, None).found, between(base, new, None, 2.5).found
    others = [one for one in priced if one.metric.name != "price_per_million"]
    assert [(one.metric, one.p, one.verdict, one.visible) for one in others] == [
        (one.metric, one.p, one.verdict, one.visible) for one in bare
    ]
    of = {(one.pair.new.id, one.metric.name): one for one in priced}
    for one in bare:
        if one.metric.name == "throughput_per_s":
            price = of[one.pair.new.id, "price_per_million"]
            assert price.p == one.p
            assert price.found.ratio == pytest.approx(1 / one.found.ratio)
            assert price.verdict == {"slower": "more", "faster": "less"}.get(one.verdict, one.verdict)
    cheap = run_of(tmp_path, "cheap", seed=2, price_per_hour=1.0)
    dear = run_of(tmp_path, "dear", seed=2, price_per_hour=3.0)
    told = [one for one in between(cheap, dear, None).found if one.metric.name == "price_per_million"]
    assert {one.verdict for one in told} == {"more"} and told[0].found.ratio == pytest.approx(3.0)


def test_a_price_from_the_command_line(tmp_path: Path, capsys: Said) -> None:
    base, new = run_of(tmp_path, "base", seed=1), run_of(tmp_path, "new", 1.3, seed=2)
    assert compare(base, new) == 0
    assert "Price of a million items" not in capsys.readouterr().out
    assert compare(base, new, "--price-per-hour", "2.5") == 0
    assert "Price of a million items" in capsys.readouterr().out
    assert compare(new, "--by", "impl", "--price-per-hour", "2.5") == 0
    assert "Price of a million items" in capsys.readouterr().out


def test_every_metric_compared_is_a_metric() -> None:
    compared = {differences.RATE, *differences.MEMORY, differences.COMPILE, differences.ENERGY, differences.PRICE}
    assert compared <= {one.name for one in METRICS}
