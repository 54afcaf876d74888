"""A process that imports a framework once and forks a cell from itself for each order.

    python -m bench.template PACKAGE MODULE [MODULE …]

It reads one line of JSON per cell from standard input, `{"request": path, "package": name, "log": path, "variables":
{…}}`, and answers on what was its standard output: first `{"import_s": …}`, then `{"pid": …}` for each cell. It forks
twice, so that the cell becomes the runner's own child, which the runner waits for and reaps. It ends when its standard
input closes.
"""

import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from bench import worker


def serve(package: str, *modules: str) -> None:
    """Import, then fork a cell for each line."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what an import prints is no answer
    import_s = worker.import_impl(package)
    for module in modules:  # what a cell would else import at its first use
        importlib.import_module(module)
    answer(answers, {"import_s": import_s})
    for line in sys.stdin:
        order = json.loads(line)
        middle = os.fork()
        if middle == 0:
            middle = os.getpid()
            cell = os.fork()
            if cell == 0:
                while os.getppid() == middle:  # until the runner is the parent whose end ends this process
                    time.sleep(1e-4)
                os.close(answers)
                become_cell(order, import_s)
            answer(answers, {"pid": cell})
            os._exit(0)
        os.waitpid(middle, 0)


def answer(answers: int, content: dict[str, Any]) -> None:
    os.write(answers, (json.dumps(content) + "\n").encode())


def become_cell(order: dict[str, Any], import_s: float) -> None:
    """In the forked child: a session of its own, output to its log, the cell, and the end."""
    code = 1
    try:
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.update(order["variables"])
        tempfile.tempdir = None  # it has been asked for while the template imported
        worker.follow_runner()
        worker.run_cell(Path(order["request"]), order["package"], "fork", import_s)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # what the template registered to run at exit is the template's


if __name__ == "__main__":
    serve(*sys.argv[1:])
