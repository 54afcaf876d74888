"""The command line: wrong input is one line and exit 2, and nothing is started or written."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.commands import measuring
from bench.plan import Choice
from bench.settings import Settings

WRONG = [
    (["run", "--impl", "torhc"], "unknown impl 'torhc': did you mean torch? valid: torch, tf, jax"),
    (["run", "--workload", "gna"], "unknown workload 'gna': did you mean gan? valid: gan, autoencoder, lm"),
    (["run", "--size", "smal"], "unknown size 'smal': did you mean small? valid: tiny, small"),
    (
        ["run", "--variant", "egaer"],
        "unknown variant 'egaer': did you mean eager? valid: eager, compile, graph, xla, jit",
    ),
    (["run", "--precision", "fp31"], "unknown precision 'fp31': did you mean fp32? valid: fp64, fp32"),
    (["run", "--optimizer", "adamx"], "unknown optimizer 'adamx': did you mean adam? valid: adam, adamw, rmsprop"),
    (["run", "--kernels", "plane"], "unknown kernels 'plane': did you mean plain? valid: plain"),
    (["run", "--platform", "mpu"], "unknown platform 'mpu': did you mean tpu? valid: auto, cpu, cuda, rocm, tpu"),
    (["run", "--input", "disk"], "unknown input 'disk': valid: device, host"),
    (["run", "--repeats", "0"], "--repeats 0: give a number above zero"),
    (["run", "--min-time", "-1"], "--min-time -1.0: give a number above zero"),
    (["run", "--min-time", "nan"], "--min-time nan: give a number above zero"),
    (["run", "--timeout", "0"], "--timeout 0.0: give a number above zero"),
    (["run", "--timeout", "inf"], "--timeout inf: give a number above zero"),
    (["run", "--target-ci", "two"], "--target-ci two: give a share such as 2% or 0.02"),
    (["run", "--target-ci", ""], "--target-ci : give a share such as 2% or 0.02"),
    (["run", "--target-ci", "2"], "--target-ci 2: give a share such as 2% or 0.02"),
    (["run", "--target-ci", "-2%"], "--target-ci -2%: give a share such as 2% or 0.02"),
    (["run", "--target-ci", "2%%"], "--target-ci 2%%: give a share such as 2% or 0.02"),
    (["run", "--target-ci", "nan"], "--target-ci nan: give a share such as 2% or 0.02"),
    (["run", "--target-ci", "2%", "--max-repeats", "5"], "--max-repeats 5: with --target-ci give at least 8 here"),
    (
        ["run", "--target-ci", "2%", "--repeats", "30"],
        "--max-repeats 20: with --target-ci give at least 30 here",
    ),
    (["run", "--wait-for-idle", "0"], "--wait-for-idle 0.0: give a number above zero"),
    (["run", "--wait-for-idle", "--repeats", "0"], "--repeats 0: give a number above zero"),
    (["run", "--wait-for-idle=1", "--repeats", "0", "--wait-for-idle"], "--repeats 0: give a number above zero"),
    (["run", "--price-per-hour", "0"], "--price-per-hour 0.0: give a number above zero"),
    (["run", "--price-per-hour", "nan"], "--price-per-hour nan: give a number above zero"),
    (["report", "nowhere", "--price-per-hour", "-2"], "--price-per-hour -2.0: give a number above zero"),
    (["export", "nowhere", "--price-per-hour", "inf"], "--price-per-hour inf: give a number above zero"),
    (["compare", "nowhere", "there", "--price-per-hour", "0"], "--price-per-hour 0.0: give a number above zero"),
    (["run", "--force"], "--force goes with --resume RUN"),
    (["run", "--resume", "nowhere"], "nowhere is no run"),
    (["run", "--no-proof", "--drift"], "--drift is evidence, --no-proof leaves evidence out: give one of them"),
    (
        ["run", "--cached-proofs", "--drift"],
        "--cached-proofs takes the evidence that is kept, --drift makes evidence: give one of them",
    ),
    (
        ["run", "--cached-proofs", "--no-proof"],
        "--cached-proofs takes the evidence that is kept, --no-proof takes none: give one of them",
    ),
    (["run", "--resume", "nowhere", "--out", "there"], "--resume goes on in the run's own folder: leave --out"),
    (["run", "--devices", "0"], "--devices 0: give whole numbers from 1"),
    (["run", "--device-counts", "1,-2"], "--device-counts -2: give whole numbers from 1"),
    (["run", "--device-counts", "1,two"], "--device-counts 1,two: give whole numbers such as 1,3,8"),
    (["run", "--devices", "7", "--scaling", "strong"], "gan: 7 devices cannot share a batch of 48 evenly"),
    (["run", "--device-counts", "48", "--scaling", "strong"], "gan cannot take a batch of 48 in 48 norm group(s)"),
    (["run", "--devices", "2", "--scaling", "wide"], "unknown scaling 'wide': valid: weak, strong, both"),
    (["run", "--batch", "0"], "a batch of 0 holds no sample; give --batch a positive number"),
    (["run", "--batch", "1", "--workload", "gan"], "gan cannot take a batch of 1 in 1 norm group(s)"),
    (["run", "--repeats", "many"], "Invalid value for '--repeats'"),
    (["run", "--seed", "-1"], "--seed -1: give a whole number from 0"),
    (["run", "--impl", ""], "no impl given; valid: torch, tf, jax"),
    (["run", "--iterations", "5"], "No such option: --iterations"),
    (["runs"], "No such command 'runs'"),
    (["verify", "--steps", "0"], "--steps 0: give a positive number"),
    (["verify", "--impl", "jacks"], "unknown impl 'jacks'"),
    (["report", "nowhere"], "nowhere is no run"),
    (["export", "nowhere"], "nowhere is no run"),
    (["export", "x" * 5000], "cannot read the run"),
    (["merge", "-o", "out"], "Missing argument 'RUN RUN…'"),
    (["merge", "one", "two"], "Missing option '--out'"),
    (["merge", "one", "-o", "out"], "give two runs or more"),
    (["merge", "one", "two", "-o", "out"], "one is no run"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))


def bench(*arguments: str) -> int:
    return cli.guard(lambda: cli.app(list(arguments), standalone_mode=False))


@pytest.mark.parametrize(("arguments", "line"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_input(arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"bench: {line}")
    assert captured.err.count("\n") == 1 and not captured.out
    assert not list(tmp_path.iterdir())


def test_folder_that_is_no_run_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    assert bench("run", "--out", "mine") == 2
    assert "mine exists and is no run; name a new folder with --out" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def test_run_of_a_newer_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"schema": 99}')
    for command in ("report", "export"):
        assert bench(command, "run") == 2
        assert "schema 99" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]


def test_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert cli.guard(interrupted) == 130
    assert "what was measured is kept" in capsys.readouterr().err


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("list") == 0
    printed = capsys.readouterr().out
    for word in ("gan", "autoencoder", "lm", "torch", "tf", "jax", "2,518,337", "cpu"):
        assert word in printed


@pytest.mark.parametrize("command", ["", "run", "verify", "report", "export", "merge", "list"])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*command.split(), "--help") == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_importing_the_command_line_is_cheap() -> None:
    """Neither --help nor the runner may import a framework, pandas or plotly; --help not even numpy."""
    heavy = "{'torch', 'tensorflow', 'jax', 'pandas', 'plotly', 'scipy'}"
    code = f"import sys, bench.cli; print(sorted(({heavy} | {{'numpy', 'psutil'}}) & set(sys.modules)))"
    assert python(code) == "[]"
    code = f"import sys, bench.run, bench.verify; print(sorted({heavy} & set(sys.modules)))"
    assert python(code) == "[]"


def python(code: str) -> str:
    root = Path(cli.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("where", ["run.json", "records.jsonl"])
@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_file_nested_too_deep_is_one_line(tmp_path: Path, where: str, depth: int) -> None:
    """A record is left out, of which a warning tells; without its `run.json` a run cannot be read."""
    run, deep = tmp_path / "run", "[" * depth + "]" * depth
    run.mkdir()
    cell = '"cell": {}, "cell_id": "c", "status": "ok", "machine": '
    texts = {"run.json": '{"schema": 1, "machine": %s}', "records.jsonl": '{"schema": 1, ' + cell + "%s}"}
    for name, text in texts.items():
        (run / name).write_text(text % (deep if name == where else "{}"))
    done = subprocess.run(
        [sys.executable, "-m", "bench", "report", str(run), "-o", str(tmp_path / "page.html")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == (2 if where == "run.json" else 0)
    assert done.stderr.startswith("bench: ") and done.stderr.count("\n") == 1
    assert "nested deeper than 64 levels" in done.stderr
    assert (done.returncode == 0) == (tmp_path / "page.html").exists()


def test_a_warning_is_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text('{"schema": 1}')
    (run / "records.jsonl").write_text('{"schema": 1, "ce')
    done = subprocess.run(
        [sys.executable, "-m", "bench", "export", str(run)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.startswith("bench: ") and done.stderr.count("\n") == 1


def test_a_run_that_goes_on_takes_from_the_command_line_what_stood_there() -> None:
    settings = Settings(ceilings=False, report=False)
    assert measuring.only({"resume", "no_ceilings"}, Choice(), settings) == {"choose": {}, "ceilings": False}
    assert measuring.only({"no_report"}, Choice(), settings) == {"choose": {}, "report": False}
    asked = Settings(proof=False, drift=True)
    assert measuring.only({"no_proof", "drift"}, Choice(), asked) == {"choose": {}, "proof": False, "drift": True}
