"""Write the locks of `bench env create`: impls/<framework>/locks/<accelerator>.txt, by `uv pip compile`.

    python scripts/locks.py [UV]

They hold for every system and Python from 3.11 on, and the versions of constraints.txt where both name a package. An
accelerator whose build lies on PyTorch's own index gets what the build on PyPI needs without CUDA: what else it needs
its own metadata pins.
"""

import subprocess
import sys
from pathlib import Path

from bench import manifests

ROOT = Path(__file__).parents[1]
HEAD = "# Made by scripts/locks.py from: {}\n"
WITH_CUDA = "sys_platform == 'linux'"  # the marker of all that PyPI's build of PyTorch needs beyond the others


def main(uv: str = "uv") -> None:
    for manifest in manifests.find().values():
        for accelerator, packages in manifest.environments.items():
            elsewhere = accelerator in manifest.elsewhere or (accelerator == "cpu" and manifest.elsewhere)
            lines = compiled(uv, packages)
            if elsewhere:
                lines = [line for line in lines if WITH_CUDA not in line]
            lock = manifest.lock(accelerator)
            lock.parent.mkdir(exist_ok=True)
            lock.write_text(HEAD.format(" ".join(packages)) + "\n".join(lines) + "\n")
            print(lock.relative_to(ROOT), len(lines))


def compiled(uv: str, packages: tuple[str, ...]) -> list[str]:
    """Every package that those need, pinned."""
    words = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header", "--no-annotate",
             "--constraints", str(ROOT / "constraints.txt"), "-"]  # fmt: skip
    done = subprocess.run(words, input="\n".join(packages), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    main(*sys.argv[1:])
