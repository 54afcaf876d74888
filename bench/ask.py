"""What a Python has: asked in its own process, or of another by running this file with it. Standard library alone.

    PYTHON -P ask.py MODULE DISTRIBUTION [DISTRIBUTION …]

prints the answer as one line of JSON.
"""

import importlib.util
import json
import platform
import sys
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any


def answer(module: str, distributions: Iterable[str]) -> dict[str, Any]:
    """Its version, whether it finds a module, versions of those distributions that it has, whether it has C headers.

    Imports nothing.
    """
    versions: dict[str, str] = {}
    for name in distributions:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    found = importlib.util.find_spec(module) is not None
    headers = Path(sysconfig.get_paths()["include"], "Python.h").exists()
    return {"python": platform.python_version(), "module": found, "versions": versions, "headers": headers}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], sys.argv[2:])))
