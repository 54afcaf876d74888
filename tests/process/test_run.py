"""`bench run` and `bench verify` whole, on two copies of the fake framework that agree, or do not."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import bench.proof.cache
from bench import record, run, store, verify
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.proof import scope
from bench.settings import Settings
from bench.spec import WrongInput

FAKES: dict[str, Manifest] = {name: read(name, "tests.fake") for name in ("a", "b")}
AUTOENCODER = Choice(workload=("autoencoder",), precision=("fp32",))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def measure(
    folder: Path, choice: Choice = AUTOENCODER, manifests: Mapping[str, Manifest] = FAKES, repeats: int = 1
) -> tuple[int, list[record.Record]]:
    settings = Settings(repeats=repeats, min_time_s=0.01, out=folder, report=False, ceilings=False)
    code = run.run(choice, settings, manifests)
    return code, store.load(folder).records


def test_every_cell_of_every_round_is_recorded(tmp_path: Path) -> None:
    code, records = measure(tmp_path / "run", repeats=3)
    assert code == 0
    assert sorted((found["cell"]["impl"], found["repeat"]) for found in records) == [
        (impl, repeat) for impl in "ab" for repeat in range(3)
    ]
    for found in records:
        assert found["status"] == "ok"
        assert found["parity"]["verdict"] == "proven"
        assert found["spec_hash"] == records[0]["spec_hash"]
        assert tuple(found) == record.FIELDS
    meta = store.load(tmp_path / "run").meta
    assert meta["plan"] == [record["cell_id"] for record in sorted(records[:2], key=lambda r: r["cell"]["impl"])]


def test_reference_is_another_framework(tmp_path: Path) -> None:
    _, records = measure(tmp_path / "run")
    for found in records:
        other = {"a": "b", "b": "a"}[found["cell"]["impl"]]
        assert found["parity"]["reference"].startswith(f"{other} ")
        assert found["parity"]["max_rel_loss_diff"] < 1e-6
        told, own = found["parity"]["reference_losses"], found["losses"]
        assert set(told) == set(own) and all(len(told[name]) == 5 for name in own)
        assert all(abs(told[name][0] - own[name][0]) < 1e-6 * abs(told[name][0]) for name in own)


def test_one_framework_alone_is_consistent(tmp_path: Path) -> None:
    code, records = measure(tmp_path / "run", manifests={"a": FAKES["a"]})
    assert code == 0
    assert records[0]["parity"]["verdict"] == "consistent"
    assert "no other framework" in records[0]["parity"]["reason"]


def test_a_wrong_step_diverges_and_fails_the_run(tmp_path: Path) -> None:
    choice = Choice(impl=("a",), variant=("wrong",), workload=("autoencoder",), precision=("fp32",))
    code, records = measure(tmp_path / "run", choice)
    assert code == 1
    assert records[0]["parity"]["verdict"] == "diverged"
    assert "reconstruction at step 0" in records[0]["parity"]["reason"]


def test_proofs_are_kept_and_used(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure(tmp_path / "one")
    assert "tracing" in capsys.readouterr().err
    assert len(list((cache / "proofs").glob("*.json"))) == 2
    _, records = measure(tmp_path / "two")
    assert "tracing" not in capsys.readouterr().err
    assert {found["parity"]["verdict"] for found in records} == {"proven"}
    assert (cache / "proofs" / f"{records[0]['parity']['proof']}.json").exists()


def test_a_crash_is_one_record_and_the_rest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-step")
    code, records = measure(tmp_path / "run")
    assert code == 1 and len(records) == 2
    for found in records:
        assert found["status"] == "crashed" and found["parity"]["verdict"] == "unchecked"
        assert "the fault that was asked for" in found["reason"] and found["log_tail"]
        assert found["windows"] is None and found["absent"]["windows"] == "the cell is crashed"


def test_what_is_not_installed_is_unsupported(tmp_path: Path) -> None:
    gone = replace(FAKES["b"], name="b", module="no_such_framework")
    code, records = measure(tmp_path / "run", manifests={"a": FAKES["a"], "b": gone}, repeats=2)
    assert code == 0
    assert [found["status"] for found in records] == ["unsupported", "ok", "ok"]
    assert "no_such_framework is not installed" in records[0]["reason"]


def test_missing_workload_is_unsupported(tmp_path: Path) -> None:
    code, records = measure(tmp_path / "run", Choice(workload=("lm",), precision=("fp32",)))
    assert code == 0
    assert {found["status"] for found in records} == {"unsupported"}


def test_json_prints_the_records_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(repeats=1, min_time_s=0.01, out=tmp_path / "run", report=False, ceilings=False, json=True)
    run.run(AUTOENCODER, settings, FAKES)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == store.load(tmp_path / "run").records


def test_dry_run_starts_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.dry_run(AUTOENCODER, Settings(out=tmp_path / "run"), FAKES)
    captured = capsys.readouterr()
    assert captured.out.count("autoencoder/tiny") == 2 and "about" in captured.err
    assert "of evidence: 2 traces, and at most as long as the measurements take" in captured.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"drift": True}, "of evidence: 6 traces\n"),
        ({"proof": False}, "no evidence is made"),
        ({"cached_proofs": True}, "no evidence is made"),
    ],
)
def test_dry_run_tells_the_evidence_that_is_asked_for(
    how: dict[str, bool], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the drift: of each framework 20 steps in float64, 100 in float64 and 100 in float32."""
    run.dry_run(AUTOENCODER, replace(Settings(out=tmp_path / "run"), **how), FAKES)
    assert said in capsys.readouterr().err


def test_dry_run_knows_what_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure(tmp_path / "run")
    capsys.readouterr()
    run.dry_run(AUTOENCODER, Settings(), FAKES)
    assert "all evidence is there" in capsys.readouterr().err


def test_existing_folder_is_refused_before_anything_starts(tmp_path: Path) -> None:
    measure(tmp_path / "run")
    before = (tmp_path / "run" / store.RECORDS_FILE).read_bytes()
    with pytest.raises(WrongInput, match="holds a run already"):
        measure(tmp_path / "run")
    assert (tmp_path / "run" / store.RECORDS_FILE).read_bytes() == before


def test_the_first_repeat_compiles_and_later_ones_reuse_it(tmp_path: Path) -> None:
    _, records = measure(tmp_path / "run", repeats=3)
    assert {found["repeat"]: found["compile_cache"] for found in records} == {0: "cold", 1: "warm", 2: "warm"}


def test_a_program_that_a_variant_needs_is_missing(tmp_path: Path) -> None:
    needy = replace(FAKES["b"], programs={"plain": "no-such-compiler"})
    code, records = measure(tmp_path / "run", manifests={"a": FAKES["a"], "b": needy})
    assert code == 0
    assert sorted(found["status"] for found in records) == ["ok", "unsupported"]
    (reason,) = [found["reason"] for found in records if found["status"] == "unsupported"]
    assert "needs no-such-compiler" in reason


@pytest.mark.parametrize(
    ("fault", "verdict", "reason"),
    [("", "proven", "fused thing 2.0e-06 off, plain 1.0e-06"), ("bad-kernel", "consistent", "1.0e-04 off")],
)
def test_best_kernels_are_tested_against_the_plain_ones(
    fault: str, verdict: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAULT", fault)
    _, records = measure(tmp_path / "run", replace(AUTOENCODER, kernels="best"))
    for found in records:
        assert found["parity"]["verdict"] == verdict
        assert reason in found["parity"]["reason"]
        assert found["cell"]["kernels"] == "best"


def test_a_large_network_is_proven_by_its_twin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = replace(AUTOENCODER, size="base", batch=2)
    _, records = measure(tmp_path / "run", small)
    assert {found["parity"]["verdict"] for found in records} == {"proven"}
    told = capsys.readouterr().err
    assert {len(found["losses"]["reconstruction"]) for found in records} == {5}
    assert "tracing autoencoder/base-twin" in told and "tracing autoencoder/base a" in told


def test_a_shipped_proof_counts_where_there_is_one_framework(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(tmp_path / "both")
    shipped = {path.stem: json.loads(path.read_text()) for path in (cache / "proofs").glob("*.json")}
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "proofs.json").write_text(json.dumps(shipped))
    monkeypatch.setattr("bench.proof.cache.SHIPPED", tmp_path / "shipped")
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "empty"))
    bench.proof.cache.shipped.cache_clear()
    try:
        _, records = measure(tmp_path / "alone", manifests={"a": FAKES["a"]})
    finally:
        bench.proof.cache.shipped.cache_clear()
    assert records[0]["parity"]["verdict"] == "proven"
    assert records[0]["parity"]["reference"].startswith("a ")


def test_both_arms_of_a_cell_run_in_every_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(repeats=3, min_time_s=0.01, out=tmp_path / "run", report=False, ceilings=False, a_a=True)
    assert run.run(AUTOENCODER, settings, FAKES) == 0
    told, found = capsys.readouterr(), store.load(tmp_path / "run")
    assert sorted((one["cell"]["impl"], one["cell"]["arm"], one["repeat"]) for one in found.records) == [
        (impl, arm, repeat) for impl in "ab" for arm in "ab" for repeat in range(3)
    ]
    assert [one["repeat"] for one in found.records] == 4 * [0] + 4 * [1] + 4 * [2]
    assert {one["parity"]["verdict"] for one in found.records} == {"proven"}
    assert len({one["parity"]["proof"] for one in found.records}) == 2, "the arms share a proof"
    assert found.meta["a_a"] is True and len(found.meta["plan"]) == 4
    traced = [line for line in told.err.splitlines() if line.startswith("tracing")]
    assert len(traced) == len(set(traced)), "the arms share their traces"
    assert "of 2 cells named (none expected in 19 of 20 runs); differences of" in told.out
    assert "b / a" in told.out


def test_rounds_go_on_until_the_target_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.stats.enough", lambda found, target: target == 0.02 and found.count >= 3)
    settings = Settings(
        repeats=2, min_time_s=0.01, out=tmp_path / "run", report=False, ceilings=False, target_ci=0.02, max_repeats=9
    )
    run.run(AUTOENCODER, settings, FAKES)
    found = store.load(tmp_path / "run")
    assert [one["repeat"] for one in found.records] == [0, 0, 1, 1, 2, 2]
    assert found.meta["target_ci"] == 0.02 and found.meta["max_repeats"] == 9
    assert "not reached" not in capsys.readouterr().out


def test_the_cap_ends_what_does_not_reach_the_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(
        repeats=1, min_time_s=0.01, out=tmp_path / "run", report=False, ceilings=False, target_ci=0.5, max_repeats=3
    )
    run.run(Choice(impl=("a",), workload=("autoencoder",), precision=("fp32",)), settings, FAKES)
    assert [one["repeat"] for one in store.load(tmp_path / "run").records] == [0, 1, 2]
    assert "not reached" in capsys.readouterr().out


def rows(choice: Choice) -> list[tuple[str, str, str, bool]]:
    found = verify.verify(choice, 3, 30.0, FAKES)
    return [(row.cell.impl, row.cell.size, row.cell.precision, row.equal) for row in found]


def test_verify_compares_each_with_the_others() -> None:
    sizes = ("tiny", "small", "base-twin", "large-twin")
    expected = [(i, s, p, True) for s in sizes for p in ("fp64", "fp32") for i in "ab"]
    expected += [(i, "tiny", "fp64", True) for _ in scope.OTHERS for i in "ab"]
    assert rows(Choice(workload=("autoencoder",), variant=("plain",))) == expected


def test_verify_fails_on_a_wrong_step() -> None:
    choice = Choice(variant=("plain", "wrong"), workload=("autoencoder",), size="tiny")
    found = verify.verify(choice, 3, 30.0, FAKES)
    assert not all(row.equal for row in found)
    wrong = verify.verify(Choice(impl=("a",), variant=("wrong",), workload=("autoencoder",)), 3, 30.0, FAKES)
    assert not any(row.equal for row in wrong if row.cell.precision == "fp64")


def test_verify_reports_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", "raise-step")
    found = verify.verify(AUTOENCODER, 3, 30.0, FAKES)
    assert found and not any(row.equal for row in found)
    assert all("the fault that was asked for" in (row.reason or "") for row in found if row.cell.precision == "fp64")


def test_verify_keeps_proofs(cache: Path) -> None:
    verify.verify(Choice(workload=("autoencoder",), size="tiny", variant=("plain",)), 20, 30.0, FAKES)
    assert len(list((cache / "proofs").glob("*.json"))) == 2
