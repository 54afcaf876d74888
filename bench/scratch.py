"""A runner's scratch folder, which it holds a lock on: one without a lock is of a runner that was killed."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "samestep-run-"  # of no other folder: those of tests and of older versions hold no lock


def make() -> tuple[Path, int]:
    """A new folder in `$TMPDIR`, and the descriptor whose lock says that its runner lives; no child inherits it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another runner took it for one of a dead runner, and removed it
            continue
        _lock(held, fcntl.LOCK_EX)
        if folder.exists():
            return folder, held
        os.close(held)


def remove_dead() -> None:
    """Remove the folders of this user's runners that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # a file, a link, another user's
        try:
            if os.fstat(held).st_uid == os.getuid() and _lock(held, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(held)


def _lock(held: int, how: int) -> bool:
    """Whether it was got; where a file system has no locks nobody gets one, and no folder is taken for dead."""
    try:
        fcntl.flock(held, how)
    except OSError:
        return False
    return True
