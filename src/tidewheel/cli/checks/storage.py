"""The file of a SQLite broker, and what lies under it: permissions, file system, locks, disk space. Only reads the database."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tidewheel.cli.checks import Finding, ok, problem, warning
from tidewheel.cli.words import size

SPARE, LITTLE = 100_000_000, 1_000_000_000
"""Bytes of free space under which it is a problem, and under which it is worth a warning."""
QUICK = 64_000_000
"""A database up to this size is read through."""


def storage(file: Path) -> Iterator[Finding]:
    if not file.exists():
        parent = file.absolute().parent
        if not os.access(parent, os.W_OK | os.X_OK):
            yield problem("database", f"{file} does not exist, and {parent} is not writable", "use another folder, or chmod this one")
        else:
            yield warning("database", f"{file} does not exist yet", "the first job or the first worker makes it; is -b right?")
        return
    yield from _permissions(file)
    yield from _file_system(file)
    yield from _locks(file.parent)
    yield from _space(file)
    yield from _content(file)


def _permissions(file: Path) -> Iterator[Finding]:
    parts = [p for p in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm", ".run"))) if p.exists()]
    closed = [str(p) for p in (*parts, file.absolute().parent) if not os.access(p, os.R_OK | os.W_OK)]
    if closed:
        mend = "run as the user of the workers, or change the owner"
        yield problem("permissions", f"this user may not read and write {', '.join(closed)}", mend)
        return
    mode = file.stat().st_mode
    if os.name == "posix" and mode & stat.S_IROTH:
        yield warning("permissions", f"everybody on this machine can read {file}, and so the arguments of jobs", f"chmod o-rwx {file}*")
    else:
        yield ok("permissions", f"readable and writable, mode {stat.S_IMODE(mode):o}")


def _file_system(file: Path) -> Iterator[Finding]:
    # A network file system is not for us to judge: the engine refuses to open a database there, and says why.
    kind = file_system(file)
    if kind is None:
        return
    if kind in ("tmpfs", "ramfs"):
        yield warning("file system", f"{file} is on {kind}, in memory: jobs do not survive a restart of the machine", "move it to a disk")
    else:
        yield ok("file system", kind)


def file_system(file: Path, table: str = "/proc/self/mounts") -> str | None:
    """The type of the file system that holds a file; None where the system does not say."""
    try:
        lines = Path(table).read_text().splitlines()
    except OSError:
        return None
    target = str(file.resolve())
    best, found = "", None
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if (target == point or target.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, found = point, kind
    return found


def _locks(folder: Path) -> Iterator[Finding]:
    try:
        import fcntl
    except ImportError:
        return
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".tidewheel-doctor-") as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(probe.name, "rb") as other:
                try:
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield ok("locks", "file locks work: one process writes at a time, and dead workers are noticed at once")
                    return
    except OSError as error:
        yield problem("locks", f"no file can be locked in {folder}: {error}", "move the database to a local disk")
        return
    yield problem("locks", f"file locks have no effect in {folder}", "move the database to a local disk")


def _space(file: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(file.absolute().parent).free
    used = sum(p.stat().st_size for p in file.parent.glob(file.name + "*") if p.is_file())
    text = f"{size(free)} free, the database has {size(used)}"
    if free < SPARE:
        yield problem("disk space", text, "make room: when the disk is full no job can be published")
    elif free < LITTLE:
        yield warning("disk space", text, "make room before the disk is full")
    else:
        yield ok("disk space", text)


def _content(file: Path) -> Iterator[Finding]:
    # Read-only: a connection that may write would have to take the writers' lock, also to close itself.
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            mode = db.execute("PRAGMA journal_mode").fetchone()[0]
            damage = db.execute("PRAGMA quick_check(1)").fetchone()[0] if file.stat().st_size <= QUICK else "ok"
    except sqlite3.Error as error:
        yield problem("database", f"{file} cannot be read: {error}", "restore it from a backup, or move it away to begin with an empty one")
        return
    if damage != "ok":
        yield problem("database", f"{file} is damaged: {damage}", "stop the workers, then: sqlite3 FILE .recover | sqlite3 NEWFILE")
    elif mode != "wal":
        yield problem("database", f"{file} has journal mode {mode}, not wal", "stop what else uses it; Tidewheel mends it when it opens it")
    else:
        length = file.stat().st_size
        yield ok("database", "in WAL mode, " + ("read through without damage" if length <= QUICK else f"{size(length)}, not read through"))
