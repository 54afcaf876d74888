"""A run is judged once all is measured: what evidence costs, what an interrupt leaves, what `--resume` completes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import judging, run, settings, store
from bench.manifests import Manifest, read
from bench.plan import Choice
from bench.proof import gathering, parity, pieces, verdict
from bench.proof.gathering import LATER
from bench.proof.parity import Trace
from bench.proof.proofs import TraceFailed
from bench.record import Record
from bench.runner import Runner
from bench.settings import Settings
from bench.spec import Cell, WrongInput

FAKES: dict[str, Manifest] = {name: read(name, "tests.fake") for name in ("a", "b")}
CHOICE = Choice(workload=("autoencoder",), precision=("fp32",))
QUICK: dict[str, Any] = {"report": False, "ceilings": False}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def begin(
    folder: Path, choice: Choice = CHOICE, manifests: Mapping[str, Manifest] = FAKES, **others: Any
) -> tuple[int, list[Record]]:
    how = Settings(repeats=1, min_time_s=0.01, out=folder, **QUICK)
    code = run.run(choice, replace(how, **others), manifests)
    return code, records_of(folder)


def records_of(folder: Path) -> list[Record]:
    """Those of the file, of whose lines the last of each process counts."""
    lines = [json.loads(line) for line in (folder / store.RECORDS_FILE).read_text().splitlines()]
    assert list({store.key_of(line): line for line in lines}.values()) == store.load(folder).records
    return store.load(folder).records


def verdicts(records: list[Record]) -> set[str]:
    return {one["parity"]["verdict"] for one in records}


def reasons(records: list[Record]) -> set[str]:
    return {one["parity"]["reason"] for one in records}


def without_verdict(records: list[Record]) -> list[Record]:
    return [{name: one[name] for name in one if name not in ("parity", "drift", "absent")} for one in records]


def test_all_is_measured_before_anything_is_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    measure, trace = Runner.end, Runner.trace
    monkeypatch.setattr(Runner, "end", lambda *a: (order.append("measure"), measure(*a))[1])
    monkeypatch.setattr(Runner, "trace", lambda *a: (order.append("trace"), trace(*a))[1])
    _, records = begin(tmp_path / "run", repeats=2)
    assert order == 4 * ["measure"] + 2 * ["trace"]
    assert verdicts(records) == {"proven"}


def test_records_are_on_the_disk_unjudged_while_cells_are_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Record]] = []
    whole = Runner.end

    def look(self: Runner, *given: Any) -> Any:
        seen.append(store.load(self.folder).records)
        return whole(self, *given)

    monkeypatch.setattr(Runner, "end", look)
    begin(tmp_path / "run")
    assert [len(records) for records in seen] == [2, 2]
    assert all(reasons(records) == {verdict.UNJUDGED} and verdicts(records) == {"unchecked"} for records in seen)


class Interrupt(KeyboardInterrupt):
    """As of a user who ends the run."""


@pytest.mark.parametrize("moment", ["before it", "in a trace", "in storing"])
def test_interrupted_before_the_verdicts_loses_nothing_and_is_judged_on_resume(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> Any:
        raise Interrupt

    owner, name = {
        "before it": (gathering, "gather"),
        "in a trace": (Runner, "trace"),
        "in storing": (store, "locked"),
    }[moment]
    with monkeypatch.context() as patch:
        whole = store.locked
        held = lambda file: interrupt() if file.name.endswith(".part") else whole(file)  # noqa: E731
        patch.setattr(owner, name, held if moment == "in storing" else interrupt)
        with pytest.raises(Interrupt):
            begin(tmp_path / "run", repeats=2)
    before = records_of(tmp_path / "run")
    assert len(before) == 4 and reasons(before) == {verdict.UNJUDGED}
    assert run.resume(tmp_path / "run", FAKES, **QUICK) == 0
    after = records_of(tmp_path / "run")
    assert without_verdict(after) == without_verdict(before) and verdicts(after) == {"proven"}
    assert not list((tmp_path / "run").glob("*.part"))


def test_a_run_without_all_its_records_is_measured_and_judged_on_resume(tmp_path: Path) -> None:
    begin(tmp_path / "run", repeats=2, proof=False)
    path = tmp_path / "run" / store.RECORDS_FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:1]))
    assert run.resume(tmp_path / "run", FAKES, **QUICK) == 0
    after = records_of(tmp_path / "run")
    assert len(after) == 4 and verdicts(after) == {"proven"}


def test_a_proof_that_fails_after_the_measurements_is_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The losses of the measured cells are right; the parameters that they end with are not."""
    whole = Runner.trace

    def wrong(self: Runner, cell: Cell, *rest: Any) -> Trace:
        trace = whole(self, cell, *rest)
        return (
            replace(trace, state={name: value * 1.1 for name, value in trace.state.items()})
            if cell.impl == "a"
            else trace
        )

    monkeypatch.setattr(Runner, "trace", wrong)
    code, records = begin(tmp_path / "run", repeats=2)
    assert code == 1 and verdicts(records) == {"diverged"}
    assert all(reason.startswith("in float64 it differs from") for reason in reasons(records))
    assert "diverged" in capsys.readouterr().out


def test_traces_that_cannot_be_compared_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Runner.trace

    def other(self: Runner, cell: Cell, *rest: Any) -> Trace:
        trace = whole(self, cell, *rest)
        return replace(trace, state={}) if cell.impl == "a" else trace

    monkeypatch.setattr(Runner, "trace", other)
    code, records = begin(tmp_path / "run")
    assert code == 1 and verdicts(records) == {"diverged"}
    assert all("not the same state" in reason for reason in reasons(records))


def test_a_cell_without_evidence_does_not_keep_others_from_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bf16 cells have it all but for their drift, and one of the frameworks cannot be traced in bf16."""
    whole = Runner.trace

    def fails(self: Runner, cell: Cell, *rest: Any) -> Trace:
        if (cell.impl, cell.precision) == ("a", "bf16"):
            raise TraceFailed("a fell over")
        return whole(self, cell, *rest)

    monkeypatch.setattr(Runner, "trace", fails)
    code, records = begin(tmp_path / "run", replace(CHOICE, precision=("fp32", "bf16")), drift=True)
    assert code == 0 and verdicts(records) == {"proven"}
    drifts = {(one["cell"]["impl"], one["cell"]["precision"]): one["absent"].get("drift") for one in records}
    assert drifts == {("a", "fp32"): None, ("b", "fp32"): None, ("a", "bf16"): "a fell over", ("b", "bf16"): None}


def test_a_trace_that_makes_no_sense_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "states_of_devices", lambda _: [{}][1:][0])
    code, records = begin(tmp_path / "run")
    assert code == 0 and verdicts(records) == {"unchecked"}
    assert all("it wrote a trace that makes no sense" in reason for reason in reasons(records))


def test_losses_that_make_no_sense_diverge(tmp_path: Path) -> None:
    begin(tmp_path / "run", proof=False)
    path = tmp_path / "run" / store.RECORDS_FILE
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["losses"]["another"] = lines[0]["losses"]["reconstruction"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run.resume(tmp_path / "run", FAKES, **QUICK) == 1
    assert [one["parity"]["verdict"] for one in records_of(tmp_path / "run")] == ["diverged", "proven"]


@pytest.fixture
def _no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "FLOOR_S", 0.0)


def judge(folder: Path, spent_s: float | None, **others: Any) -> list[Record]:
    """Judge a run that is measured as if that had taken so long."""
    whole = judging.judge
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "judge", lambda *a: whole(*a[:-1], spent_s))
        run.resume(folder, FAKES, **QUICK, **others)
    return records_of(folder)


@pytest.mark.usefixtures("_no_floor")
def test_what_does_not_fit_is_left_and_made_on_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    begin(folder, proof=False)
    assert reasons(judge(folder, 0.5)) == {LATER}
    told = capsys.readouterr().err
    assert "tracing" not in told and f"2 of 2 records wait for evidence: bench run --resume {folder} makes it" in told
    assert run.resume(folder, FAKES, **QUICK) == 0
    assert verdicts(records_of(folder)) == {"proven"}


@pytest.mark.usefixtures("_no_floor")
def test_a_verdict_that_waits_for_its_proof_is_completed_on_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pieces.proofs, "make_proofs", out_of_time)
        _, records = begin(tmp_path / "run", drift=True)
    assert verdicts(records) == {"consistent"} and reasons(records) == {f"no proof: {LATER}"}
    assert run.resume(tmp_path / "run", FAKES, **QUICK) == 0
    assert verdicts(records_of(tmp_path / "run")) == {"proven"}


def out_of_time(*_: Any) -> Any:
    raise gathering.OutOfTime


@pytest.mark.usefixtures("_no_floor")
def test_what_is_kept_costs_nothing(tmp_path: Path) -> None:
    begin(tmp_path / "first")
    begin(tmp_path / "run", proof=False)
    assert verdicts(judge(tmp_path / "run", 0.0)) == {"proven"}


@pytest.mark.usefixtures("_no_floor")
def test_a_run_gives_evidence_the_time_that_measuring_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []
    whole = gathering.gather

    def gather(*a: Any, limit_s: float | None, **kw: Any) -> Any:
        limits.append(limit_s)
        return whole(*a, limit_s=limit_s, **kw)

    monkeypatch.setattr(gathering, "gather", gather)
    now = iter([100.0, 107.0])
    with monkeypatch.context() as patch:
        patch.setattr(run, "time", type("clock", (), {"monotonic": staticmethod(lambda: next(now))}))
        begin(tmp_path / "run")
    begin(tmp_path / "asked", drift=True)
    run.resume(tmp_path / "asked", FAKES, **QUICK)
    monkeypatch.setattr(judging, "FLOOR_S", 1000.0)
    begin(tmp_path / "quick")
    assert limits == [7.0, None, None, 1000.0]


def test_no_proof_takes_none_and_resume_judges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path / "first")
    code, records = begin(tmp_path / "run", proof=False)
    assert code == 0 and verdicts(records) == {"unchecked"} and reasons(records) == {judging.NO_PROOF}
    assert store.load(tmp_path / "run").meta["proof"] is False
    assert run.resume(tmp_path / "run", FAKES, **QUICK, proof=False) == 0
    assert records_of(tmp_path / "run") == records
    capsys.readouterr()
    assert run.resume(tmp_path / "run", FAKES, **QUICK) == 0
    assert verdicts(records_of(tmp_path / "run")) == {"proven"}
    assert store.load(tmp_path / "run").meta["proof"] is True
    assert "proven" in capsys.readouterr().out


def test_no_proof_takes_no_verdict_away(tmp_path: Path) -> None:
    _, records = begin(tmp_path / "run")
    run.resume(tmp_path / "run", FAKES, **QUICK, proof=False)
    assert records_of(tmp_path / "run") == records


def test_cached_proofs_makes_nothing_and_names_what_is_missing(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, records = begin(tmp_path / "run", cached_proofs=True)
    assert code == 0 and verdicts(records) == {"unchecked"}
    assert "tracing" not in capsys.readouterr().err
    names = {reason.split()[-1] for reason in reasons(records)}
    begin(tmp_path / "made")
    assert all((cache / name).exists() for name in names)
    run.resume(tmp_path / "run", FAKES, **QUICK, cached_proofs=True)
    assert verdicts(records_of(tmp_path / "run")) == {"proven"}


def test_a_drift_can_be_asked_for_later(tmp_path: Path) -> None:
    _, before = begin(tmp_path / "run")
    assert all(one["drift"] is None and one["absent"]["drift"] == verdict.NOT_TAKEN for one in before)
    assert run.resume(tmp_path / "run", FAKES, **QUICK, drift=True) == 0
    after = records_of(tmp_path / "run")
    assert all(one["drift"]["steps"] == 100 and "drift" not in one["absent"] for one in after)
    assert all(len(one["parity"]["reference_losses"]["reconstruction"]) == 20 for one in after)
    assert verdicts(after) == {"proven"} and store.load(tmp_path / "run").meta["drift"] is True


def test_the_best_kernels_are_judged_too(tmp_path: Path) -> None:
    begin(tmp_path / "run", replace(CHOICE, kernels="best"), proof=False)
    assert run.resume(tmp_path / "run", FAKES, **QUICK) == 0
    assert verdicts(records_of(tmp_path / "run")) == {"proven"}


def test_what_was_measured_with_other_code_is_not_judged_by_this(tmp_path: Path) -> None:
    begin(tmp_path / "run", proof=False)
    path = tmp_path / "run" / store.RECORDS_FILE
    path.write_text(path.read_text().replace('"source_hash":"', '"source_hash":"0', 1))
    assert run.resume(tmp_path / "run", FAKES, force=True, **QUICK) == 0
    other, same = records_of(tmp_path / "run")
    assert same["parity"]["verdict"] == "proven" and other["parity"]["verdict"] == "unchecked"
    assert "it cannot be judged any more: the code of" in other["parity"]["reason"]


def test_a_full_disk_at_the_end_costs_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path.open

    def full(self: Path, *a: Any, **kw: Any) -> Any:
        if self.name == "records.jsonl.part":
            raise OSError(28, "No space left on device")
        return whole(self, *a, **kw)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        code, records = begin(tmp_path / "run")
    told = capsys.readouterr()
    assert code == 1 and "No space left on device; all that was measured is kept" in told.err
    assert reasons(records) == {verdict.UNJUDGED} and "proven" in told.out
    assert run.resume(tmp_path / "run", FAKES, **QUICK) == 0
    assert verdicts(records_of(tmp_path / "run")) == {"proven"}


@pytest.mark.parametrize(
    "wrong",
    [{"proof": False, "drift": True}, {"proof": False, "cached_proofs": True}, {"cached_proofs": True, "drift": True}],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, bool]) -> None:
    with pytest.raises(WrongInput, match="give one of them"):
        settings.check(Settings(**wrong))
