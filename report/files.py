"""Writing what the user asked for: whole or not at all, never over a run's own data nor where a run's links lead."""

import secrets
from pathlib import Path

from bench.store import RECORDS_FILE, RUN_FILE, WrongInput


def save(target: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8, to a temporary file beside the target, then rename it.

    Raises:
        WrongInput: the target is a folder, a device, a run's data or a link in a run's folder, or cannot be written.
            Nothing was changed then.
    """
    try:
        target = checked(target)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")  # none that was laid out beforehand
        try:
            with part.open("xb") as file:
                file.write(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise WrongInput(f"cannot write {target}: {error.strerror}; name another file with -o") from error


def checked(target: Path) -> Path:
    """The target with its links followed, which must be the user's own.

    Raises:
        WrongInput: it is nothing that can be written over.
    """
    if target.is_symlink() and (target.parent / RUN_FILE).exists():
        raise WrongInput(f"cannot write {target}: it is a link in a run's folder; name another file with -o")
    try:
        target = target.resolve()
    except RuntimeError as error:
        raise WrongInput(f"cannot write {target}: its links lead in a circle; name another file with -o") from error
    if target.exists() and not target.is_file():
        raise WrongInput(
            f"cannot write {target}: it is {'a folder' if target.is_dir() else 'no plain file'}; name a file with -o"
        )
    if target.name in (RUN_FILE, RECORDS_FILE) and (target.parent / RUN_FILE).exists():
        raise WrongInput(f"cannot write {target}: a run's own data lies there; name another file with -o")
    return target
