"""SQLite's errors in our words: what is wrong, where, and what mends it."""

from __future__ import annotations

import os
import sqlite3

from tidewheel.errors import BrokerCorrupt, BrokerError, BrokerFull, BrokerUnavailable

UNSYNCED = (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC)
"""After these it is not known what reached the disk."""


def translate(error: sqlite3.Error, path: str) -> BrokerError:
    """The `BrokerError` for an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _no_room(path)):
        return BrokerFull(f"no room to write {path}: free some space on its disk (or lift the file size limit); nothing was stored")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BrokerUnavailable(
            f"another program holds a lock on {path}; end its transaction (is a sqlite3 shell open? `fuser -v {path}` names it)"
        )
    if primary == sqlite3.SQLITE_NOTADB:
        return BrokerCorrupt(f"{path} is not a SQLite database; move it away or change the broker URL")
    if primary == sqlite3.SQLITE_CORRUPT:
        return BrokerCorrupt(
            f"{path} is damaged ({error}); stop the workers, keep a copy, and rescue what is left: "
            f"sqlite3 {path} .recover | sqlite3 rescued.db"
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH):
        return BrokerUnavailable(
            f"{path} cannot be written by user {os.geteuid()} ({error}); the file, its directory and {os.path.basename(path)}-wal must be"
            " writable for it (chown), and not on a read-only mount"
        )
    if primary == sqlite3.SQLITE_IOERR:
        return BrokerUnavailable(f"the disk failed while {path} was used ({getattr(error, 'sqlite_errorname', error)}); see the kernel log")
    if primary == sqlite3.SQLITE_TOOBIG:
        return BrokerFull(f"a value is too big for {path} ({error}); SQLite holds up to 1 GB in one")
    if primary == sqlite3.SQLITE_ERROR:
        return BrokerCorrupt(f"{path} does not have the tables that this version of Tidewheel expects ({error}); was it changed by hand?")
    return BrokerUnavailable(f"{path}: {error}")


def _no_room(path: str) -> bool:
    """Whether the disk has less than one page or so left: some writes (shared memory) report a full disk as an I/O error."""
    try:
        free = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < 65_536 or (free.f_files > 0 and free.f_favail == 0)
