"""`--pidfile`: one worker at a time, and its process id for whoever wants to signal it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tidewheel.cli.failures import Failure

__all__ = ["pidfile"]


@contextmanager
def pidfile(path: str | None) -> Generator[None, None, None]:
    """Holds the file while the block runs; one that names no living process is taken over. Raises `Failure` for a living one."""
    if path is None:
        yield
        return
    file = Path(path)
    for _ in range(2):
        try:
            handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            break
        except FileExistsError:
            other = _read(file)
            if other is not None and other != os.getpid() and _lives(other):
                raise Failure(f"{file} says that process {other} runs already; stop it first, or use another --pidfile") from None
            file.unlink(missing_ok=True)
    else:
        raise Failure(f"{file} comes back as soon as it is deleted: another worker starts with the same --pidfile")
    with os.fdopen(handle, "w") as out:
        out.write(f"{os.getpid()}\n")
    try:
        yield
    finally:
        if _read(file) == os.getpid():
            file.unlink(missing_ok=True)


def _read(file: Path) -> int | None:
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
