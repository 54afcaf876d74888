"""Of the environment nothing is recorded that might be a secret or name a person."""

from bench.machine import environment

ENVIRON = {
    "OMP_NUM_THREADS": "2",
    "XLA_FLAGS": "--xla_dump_to=/home/alice/dump --xla_cpu_use_onednn=true",
    "TF_SECRET": "hunter2",
    "PYTORCH_TOKEN": "hunter2",
    "NCCL_DEBUG_FILE": "/home/alice/log",
    "HOME": "/home/alice",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "FAKE_THREADS": "2",
}


def test_values_of_known_names_alone() -> None:
    assert environment.recorded(ENVIRON) == {
        "NCCL_DEBUG_FILE": environment.WITHHELD,
        "OMP_NUM_THREADS": "2",
        "PYTORCH_TOKEN": environment.WITHHELD,
        "TF_SECRET": environment.WITHHELD,
        "XLA_FLAGS": "--xla_dump_to=(path) --xla_cpu_use_onednn=true",
    }


def test_no_secret_and_no_person_gets_out() -> None:
    told = str(environment.recorded(ENVIRON, also=["FAKE_THREADS", "NCCL_DEBUG_FILE", "NOT_SET"]))
    assert "hunter2" not in told and "alice" not in told and "'FAKE_THREADS': '2'" in told


def test_every_known_name_begins_like_a_runtimes() -> None:
    assert all(name.startswith(environment.PREFIXES) for name in environment.VALUES)
