"""Nothing secret of the environment gets into a run, whatever its name: every byte of one that was measured is read."""

import sys
from pathlib import Path

import pytest

from bench import run, store
from bench.manifests import read
from bench.plan import Choice
from bench.settings import Settings
from report import page
from tests.report import samples
from tests.report.test_page import Page

FAKES = {name: read(name, "tests.fake") for name in ("a", "b")}
MARK = "hunter2"  # in every value
NAMES = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "GITHUB_TOKEN", "GH_TOKEN", "CI_JOB_TOKEN",
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "COMET_API_KEY", "OPENAI_KEY",
    "KAGGLE_KEY", "PGPASSWORD", "DATABASE_URL", "SSH_AUTH_SOCK", "HTTP_PROXY", "SLURM_JOB_USER", "KUBECONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS", "NETRC", "PIP_INDEX_URL", "TF_TOKEN", "TF_SECRET", "JAX_SECRET", "JAX_TOKEN",
    "TORCH_HOME", "TORCH_TOKEN", "PYTORCH_SECRET", "CUDA_SECRET", "NVIDIA_API_KEY", "NCCL_SECRET", "NCCL_DEBUG_FILE",
    "OMP_SECRET", "MKL_SECRET", "KMP_SECRET", "OPENBLAS_SECRET", "GOMP_SECRET", "MALLOC_SECRET", "XLA_SECRET",
    "FAKE_SECRET", "SAMESTEP_SECRET", "password", "Secret",
)  # fmt: skip
PATHS = {  # recorded with their values, without the folders in them
    "XLA_FLAGS": f"--xla_dump_to=/home/{MARK}/dump --xla_cpu_use_onednn=true",
    "TF_XLA_FLAGS": f"--tf_xla_auto_jit=2 --dump=/home/{MARK}/x,/srv/{MARK}",
    "OMP_SCHEDULE": f"static,C:\\Users\\{MARK}\\x",
}


def everything(folder: Path) -> dict[str, str]:
    """All that lies in a run, by file, with what the page has packed; and the names themselves."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace") for path in files}
    found["packed"] = str(Page(found["report.html"]).data)
    return found | {"names": " ".join(found)}


@pytest.mark.parametrize("fault", ["", "raise-step", "kill-step"])
def test_no_secret_enters_a_run(tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, f"{MARK}-{name}")
    for name, value in PATHS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SAMESTEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_FAULT", fault)
    monkeypatch.setattr(sys, "argv", ["bench", "run", "--seed", "0"])
    settings = Settings(repeats=1, min_time_s=0.01, out=tmp_path / "run")
    run.run(Choice(workload=("autoencoder",), precision=("fp32",), devices=2), settings, FAKES)
    found = everything(tmp_path / "run")
    assert {"run.json", "records.jsonl", "report.html"} <= set(found)
    assert [name for name, text in found.items() if MARK in text] == []
    records = store.load(tmp_path / "run").records
    assert {one["status"] for one in records} == (
        {"ok"} if not fault else {"crashed"} if "raise" in fault else {"killed"}
    )
    told = store.load(tmp_path / "run").meta["machine"]["environment"]
    assert told["XLA_FLAGS"] == "--xla_dump_to=(path) --xla_cpu_use_onednn=true", "the test looks where flags are"
    assert told["TF_TOKEN"] == "(set; the value is not recorded)"


def test_the_check_can_fail(tmp_path: Path) -> None:
    """What is given on the command line is recorded as it was given: the check finds it there, and in the page."""
    runs = [samples.write_run(tmp_path / "run", [samples.make_record(samples.make_cell())], command=["bench", MARK])]
    page.write(runs, tmp_path / "run" / "report.html")
    (tmp_path / "run" / "logs" / MARK).write_bytes(b"\xff")
    found = everything(tmp_path / "run")
    assert {name for name, text in found.items() if MARK in text} == {"run.json", "report.html", "names"}
    assert MARK not in found["packed"] and "label" in found["packed"]
