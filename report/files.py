"""Writing what the user asked for: whole or not at all, and never over a run's own data."""

import os
from pathlib import Path

from bench.store import RECORDS_FILE, RUN_FILE, WrongInput


def save(target: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8, to a temporary file beside the target, then rename it.

    Raises:
        WrongInput: the target is a folder, a device or a run's data, or cannot be written. Nothing was changed then.
    """
    target = target.resolve()
    if target.exists() and not target.is_file():
        raise WrongInput(
            f"cannot write {target}: it is {'a folder' if target.is_dir() else 'no plain file'}; name a file with -o"
        )
    if target.name in (RUN_FILE, RECORDS_FILE) and (target.parent / RUN_FILE).exists():
        raise WrongInput(f"cannot write {target}: a run's own data lies there; name another file with -o")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WrongInput(f"cannot write {target}: {error.strerror}; name another file with -o") from error
