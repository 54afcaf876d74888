"""Fuzz what reads runs: `python -m tests.fuzz [--seconds 60] FOLDER`; exit 1 on a finding, which lies in FOLDER then.

Atheris draws inputs from what others reached in the code; every second is changed as JSON, which reaches further.
Where atheris has no wheel, the changes of JSON alone are drawn at random, for as long.
"""

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import atheris
except ImportError:
    atheris: Any = None

MAX_BYTES = 200_000


def main() -> None:
    """Load what is fuzzed, so that its branches are seen; write the seeds; go."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--seconds", type=int, default=60)
    asked.add_argument("folder", type=Path)
    options = asked.parse_args()
    if atheris:
        with atheris.instrument_imports(include=["bench", "report"]):
            from tests.fuzz import target
    else:
        from tests.fuzz import target
    target.without_plotly()
    corpus = options.folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate([*target.seeds(), *(path.read_bytes() for path in target.FINDINGS.iterdir())]):
        (corpus / f"seed-{number}").write_bytes(seed)
    (guided if atheris else drawn)(target.read, options.folder, options.seconds)


def guided(read: Callable[[bytes], None], folder: Path, seconds: int) -> None:
    from tests.fuzz.mutations import mutated

    def change(data: bytes, most: int, seed: int) -> bytes:
        return (mutated(data, seed) if seed % 2 else atheris.Mutate(data, len(data) + 16))[:most]

    limits = [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", "-timeout=60", "-rss_limit_mb=4096"]
    flags = [*limits, f"-artifact_prefix={folder}/", "-len_control=0", "-print_final_stats=1", "-seed=1"]
    atheris.Setup([sys.argv[0], *flags, str(folder / "corpus")], read, custom_mutator=change)
    atheris.Fuzz()


def drawn(read: Callable[[bytes], None], folder: Path, seconds: int) -> None:
    from tests.fuzz.mutations import mutated

    draw, seeds = random.Random(1), [path.read_bytes() for path in sorted((folder / "corpus").iterdir())]
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data, count = mutated(draw.choice(seeds), draw.getrandbits(32)), count + 1
        try:
            read(data)
        except Exception:
            traceback.print_exc()
            (folder / f"crash-{count}").write_bytes(data)
            sys.exit(1)
    print(f"{count} inputs, nothing found")


if __name__ == "__main__":
    main()
