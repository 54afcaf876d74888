"""How long the commands take that measure nothing.

python benchmarks/command_line.py
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine.fingerprint import cpu_model
from bench.machine.processor import physical_cores

LIMITS_S = {"--help": 0.3, "run --help": 0.3, "list": 1.0}
REPEATS = 11


def main() -> None:
    print(f"machine: {cpu_model()}, {len(physical_cores())} physical core(s)")
    for arguments, limit in LIMITS_S.items():
        seconds = [once(arguments.split()) for _ in range(REPEATS + 1)][1:]
        print(
            f"bench {arguments}: median {statistics.median(seconds):.3f} s "
            f"({min(seconds):.3f} to {max(seconds):.3f} in {REPEATS} runs, limit {limit})"
        )


def once(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
