"""How long a cell takes to start once its framework is imported, and what the parent costs meanwhile.

    python benchmarks/start.py

Start: from the decision to run a cell to the end of its first step, compilation apart. The whole cell of one step is
timed, its end included, so this is an upper bound. Parent: memory and processor time of `bench run` while cells run.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import manifests, plan
from bench.launch import Launcher
from bench.machine.fingerprint import cpu_model
from bench.machine.processor import physical_cores
from bench.plan import Choice
from bench.spec import Request


def main() -> None:
    print(f"machine: {cpu_model()}, {len(physical_cores())} physical core(s)")
    starts()
    parent()


def starts(repeats: int = 5) -> None:
    """Print, for each framework and workload, the median start of the cells after the first."""
    found = manifests.find()
    cores = physical_cores()
    imported: set[str] = set()
    with Launcher(found, cold=False) as launcher:
        for cell in plan.plan_cells(Choice(size="tiny", precision=("fp32",)), found):
            if not found[cell.impl].installed:
                continue
            seconds: list[float] = []
            for repeat in range(repeats + 1):
                folder = launcher.scratch / f"{cell.id}-{repeat}"
                request = Request(cell=cell, task="trace", folder=str(folder), steps=1, threads=len(cores), cpus=cores)
                begin = time.perf_counter()
                outcome = launcher.run(request, 300.0, launcher.scratch / "log")
                seconds.append(time.perf_counter() - begin - outcome.fields["phases_s"]["compile"])
            first = "" if cell.impl in imported else f"first {seconds[0]:.2f} s with the import, then "
            imported.add(cell.impl)
            later = seconds[1:]
            print(
                f"{cell.label}: {first}{statistics.median(later):.2f} s ({min(later):.2f} to {max(later):.2f}, limit 1)"
            )


def parent(seconds: float = 30.0) -> None:
    """Print the parent's memory and processor time while it waits for cells."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--impl", "jax", "--workload", "lm", "--repeats", "4", "--no-report", "--out", f"{folder}/run"]
        runner = subprocess.Popen(
            [sys.executable, "-m", "bench", "run", *arguments],
            cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        process = psutil.Process(runner.pid)
        records = Path(folder) / "run" / "records.jsonl"
        while not records.exists():  # until the runner has begun
            time.sleep(0.1)
        begin, used, peak = time.perf_counter(), sum(process.cpu_times()[:2]), 0
        while len(records.read_text().splitlines()) < 3 and time.perf_counter() - begin < seconds:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.2)
        spent, waited = sum(process.cpu_times()[:2]) - used, time.perf_counter() - begin
        runner.wait()
    print(f"parent: {peak / 1e6:.1f} MB while a cell runs (limit 60)")
    print(
        f"parent: {1e3 * spent / waited:.1f} ms of processor time per second of waiting (limit 5), over {waited:.0f} s"
    )


if __name__ == "__main__":
    main()
