"""Precisions through `bench run`, on the fake framework: probed, settled, refused, and their price recorded."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import examine, failures, plan, run, store, verify
from bench.manifests import read
from bench.plan import Choice
from bench.record import Record
from bench.settings import Settings
from bench.spec import Request
from tests.fake import probe
from tests.fake.autoencoder import OVERFLOW

FAKES = {name: read(name, "tests.fake") for name in ("a", "b")}
MIXED = Choice(impl=("a",), workload=("autoencoder",), precision=("bf16",))
SKIPPED = 3  # updates, from a loss scale of 2¹⁶ down to one that does not overflow


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))


def measure(folder: Path, choice: Choice, drift: bool = False) -> tuple[int, Record]:
    settings = Settings(repeats=1, min_time_s=0.01, out=folder, report=False, ceilings=False, drift=drift)
    code = run.run(choice, settings, FAKES)
    (record,) = store.load(folder).records
    return code, record


def test_the_precision_that_products_have_is_recorded_and_its_price(tmp_path: Path) -> None:
    code, record = measure(tmp_path / "run", MIXED, drift=True)
    assert code == 0
    assert record["effective_precision"] == {"matmul": "bf16", "conv": "bf16"}
    assert record["drift"]["steps"] == len(record["drift"]["rel_loss_diff"]) == 100
    assert record["drift"]["max_rel_loss_diff"] == max(record["drift"]["rel_loss_diff"]) < 1e-5
    assert record["drift"]["reference"].startswith("b ")
    assert record["steps_skipped"] == 0
    assert len(record["parity"]["reference_losses"]["reconstruction"]) == 20


def test_a_drift_is_taken_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, record = measure(tmp_path / "unasked", MIXED)
    assert "100 steps" not in capsys.readouterr().err
    assert record["drift"] is None and record["absent"]["drift"] == "not taken: bench run --drift takes it"
    _, asked = measure(tmp_path / "asked", MIXED, drift=True)
    assert "100 steps" in capsys.readouterr().err
    _, record = measure(tmp_path / "kept", MIXED)
    assert record["drift"] == asked["drift"] is not None, "one that is kept is shown"
    assert "tracing" not in capsys.readouterr().err


def test_convolutions_are_probed_where_there_are_some() -> None:
    """A language model has none: what a framework does with those is not its fault."""
    asked = replace(worker_request(), cell=replace(worker_request().cell, workload="lm", precision="fp32"))
    found = examine.Found(fields={"status": "ok"})
    honest = probe.products(asked, None, None)
    broken = SimpleNamespace(products=lambda *_: {"matmul": honest["matmul"]})
    examine.probe_precision(asked, broken, found)
    assert found.fields["status"] == "ok" and found.fields["effective_precision"] == {"matmul": "fp32"}
    with pytest.raises(KeyError):
        examine.probe_precision(worker_request(), broken, found)


def worker_request() -> Request:
    (cell,) = plan.plan_cells(replace(MIXED, precision=("fp32",)), FAKES)
    return Request(cell=cell, task="measure", folder="")


def test_a_long_trace_that_tells_a_price_stands_in_no_proof(tmp_path: Path) -> None:
    """The first variant's price takes 100 steps of `b` in float64; the second one's proof takes 20 of them."""
    choice = replace(MIXED, variant=("plain", "wrong"))
    settings = Settings(repeats=1, min_time_s=0.01, out=tmp_path / "run", report=False, ceilings=False, drift=True)
    run.run(choice, settings, FAKES)
    plain, wrong = store.load(tmp_path / "run").records
    if plain["cell"]["variant"] == "wrong":
        plain, wrong = wrong, plain
    assert plain["parity"]["verdict"] == "proven" and plain["drift"]["steps"] == 100
    assert wrong["parity"]["verdict"] == "diverged"


@pytest.mark.parametrize(("asked", "computed"), [("fp32", "tf32"), ("fp32", "bf16"), ("bf16", "fp32")])
def test_another_precision_than_asked_for_is_invalid(
    asked: str, computed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAULT", f"computes-{computed}")
    code, record = measure(tmp_path / "run", replace(MIXED, precision=(asked,)))
    assert code == 1
    assert record["status"] == "invalid" and record["parity"]["verdict"] == "unchecked"
    found = f"matmul: {computed}; conv: {computed}"
    assert record["reason"] == f"{asked} was asked for, products have another precision: {found}"
    assert record["effective_precision"] == {"matmul": computed, "conv": computed}


@pytest.mark.parametrize("drift", [False, True])
def test_a_loss_scale_settles_before_anything_is_timed(
    drift: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, record = measure(tmp_path / "run", replace(MIXED, precision=("fp16",)), drift)
    assert code == 0 and 2.0**16 / 2**SKIPPED == OVERFLOW
    assert record["steps_skipped"] == SKIPPED
    assert len(record["losses"]["reconstruction"]) == SKIPPED + 20
    assert set(record["losses"]) == {"reconstruction"}
    assert record["parity"]["verdict"] == "proven"
    steps = 100 if drift else 5
    assert f"fp16 ×1 adam, {steps} steps" in capsys.readouterr().err, "a start that skips no update is traced"
    assert not drift or record["drift"]["max_rel_loss_diff"] < 1e-5
    _, again = measure(tmp_path / "again", replace(MIXED, precision=("fp16",)))
    assert "tracing" not in capsys.readouterr().err and again["parity"]["verdict"] == "proven"


def test_a_loss_scale_that_never_settles_is_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "overflow")
    code, record = measure(tmp_path / "run", replace(MIXED, precision=("fp16",)))
    assert code == 1 and record["status"] == "invalid"
    assert "did not settle within 200 steps" in record["reason"]


@pytest.mark.parametrize(("precision", "status", "code"), [("fp16", "unsupported", 0), ("fp32", "crashed", 1)])
def test_what_a_framework_refuses_is_unsupported_in_its_words(
    precision: str, status: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "missing-step")
    assert measure(tmp_path / "run", replace(MIXED, precision=(precision,)))[0] == code
    (record,) = store.load(tmp_path / "run").records
    assert record["status"] == status
    assert record["reason"] == "NotImplementedError in compile: convolution is not implemented for 'Half'"


def test_a_processor_has_no_tf32(tmp_path: Path) -> None:
    code, record = measure(tmp_path / "run", replace(MIXED, precision=("tf32",)))
    assert code == 0 and record["status"] == "unsupported"
    assert "TF32 is a mode of NVIDIA's tensor cores" in record["reason"]


def test_a_mistake_in_a_program_is_no_missing_kernel() -> None:
    """Python's own words for it are "unsupported operand", and bf16 is measured by default."""
    mistake = TypeError("unsupported operand type(s) for +: 'NoneType' and 'float'")
    refusal = RuntimeError("convolution is not implemented for 'Half'")
    assert failures.status_of(mistake, "bf16", "compile") == "crashed"
    assert failures.status_of(refusal, "fp16", "compile") == "unsupported"
    assert failures.status_of(refusal, "fp16", "steady state") == "crashed"
    assert failures.status_of(refusal, "fp32", "compile") == "crashed"


def test_timed_steps_that_skip_their_updates_are_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "overflow-later")
    code, record = measure(tmp_path / "run", replace(MIXED, precision=("fp16",)))
    assert code == 1 and record["status"] == "invalid"
    assert "timed steps skipped their update" in record["reason"]
    assert record["parity"]["reason"] == "only cells that are ok are checked"


def test_verify_compares_fp16_from_a_scale_that_skips_nothing() -> None:
    rows = verify.verify(replace(MIXED, precision=("fp16",), size="tiny", variant=("plain",)), 5, 30.0, FAKES)
    assert [(row.cell.precision, row.equal) for row in rows if row.cell.precision == "fp16"] == [("fp16", True)]


def test_verify_certifies_no_tf32_on_a_processor() -> None:
    rows = verify.verify(replace(MIXED, precision=("tf32",), size="tiny"), 5, 30.0, FAKES)
    assert "tf32" not in {row.cell.precision for row in rows}


def test_nothing_is_traced_for_cells_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-step")
    run.run(
        replace(MIXED, impl=("a", "b")), Settings(repeats=1, out=tmp_path / "run", report=False, ceilings=False), FAKES
    )
    assert "tracing" not in capsys.readouterr().err
