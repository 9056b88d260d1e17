"""The connections to one database: one that writes, under the mutex, and one that reads. All of SQLite's errors are translated here.

Forks. SQLite keeps one record per process of which locks it has on a file. A child inherits that record without the locks, and even a
connection that it opens itself then goes without: sooner or later somebody takes the log away under it. So every connection of this
process is closed just before a fork, and opened again at its next use; the child finds nothing. Where that could not be done (C code
that forks past Python, a thread that would not end its write) the child may not open that file at all, and is told so.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidewheel.backends.sqlite.bells import Bells
from tidewheel.backends.sqlite.faults import translate
from tidewheel.backends.sqlite.mutex import Mutex
from tidewheel.backends.sqlite.place import Place
from tidewheel.backends.sqlite.schema import check, migrate
from tidewheel.errors import BrokerError, BrokerUnavailable, ConfigurationError
from tidewheel.lifeline import give_away

BUSY = 5.0
"""Seconds to wait for a lock of a program that does not know our mutex."""
LOG_LIMIT = 64 << 20
"""Bytes. A log that somebody's long read made bigger than this is cut back."""
FORK_PATIENCE = 2.0
"""Seconds that a fork waits for writes that are under way."""
OLDEST = (3, 35, 0)
"""RETURNING."""


class Store:
    """One database file. Usable from many threads. In a forked child it is closed, and can be opened anew."""

    def __init__(self, place: Place, clock: Callable[[], float] = time.time) -> None:
        self.place = place
        self.clock = clock
        self.mutex = Mutex(place.lock)
        self.bells = Bells(place.run)
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reading = threading.Lock()
        self._file = (0, 0)
        self._opened = False
        """Whether it is to be used. There may be no connections all the same, after a fork."""
        self._pid = os.getpid()
        self._paused = False
        self._synced = False
        self._lent = 0
        """The thread that has a transaction of the user's open."""
        self.closing: list[Callable[[], None]] = []
        """Called at `close`, by roles that opened something of their own."""
        _open.add(self)

    # -- opening and closing --------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Check the place, connect, migrate. Raises a `BrokerError` that names the mend."""
        if sqlite3.sqlite_version_info < OLDEST:
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old, 3.35 is needed: use a newer Python or system library")
        self.place.prepare()
        self._check_process()
        with self.mutex:
            if self._writer is None:
                self._connect()
            self._opened = True

    def _connect(self) -> None:
        path = self.place.path
        writer = reader = None
        try:
            _create(path)
            found = os.stat(path)
            if (found.st_dev, found.st_ino) in _inherited:
                raise BrokerUnavailable(
                    f"this process was forked while its parent was using {path}, which SQLite does not survive: close the app"
                    " (app.close()) before you fork, or let Python do the forking"
                )
            writer = self._connection()
            check(writer, path, shared=self.place.shared)
            writer.execute("PRAGMA journal_mode = WAL").fetchone()
            # A checkpoint runs inside COMMIT, that is under the mutex. Log files are reused, not truncated (docs/decisions/0004).
            writer.execute("PRAGMA wal_autocheckpoint = 1000").fetchone()
            writer.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}").fetchone()
            if sys.platform == "darwin":
                writer.execute("PRAGMA fullfsync = 1")
            migrate(writer, path, shared=self.place.shared)
            # SQLite opens a file that it may not write for reading, and says so only at the first write.
            writer.executescript("BEGIN; DELETE FROM worker WHERE 0; ROLLBACK")
            writer.executescript("PRAGMA synchronous = FULL")
            reader = self._connection()
            reader.execute("PRAGMA query_only = 1")
        except BaseException as error:
            for connection in (reader, writer):
                if connection is not None:
                    connection.close()
            if isinstance(error, sqlite3.Error):
                raise translate(error, path) from error
            if isinstance(error, OSError) and not isinstance(error, BrokerError):
                raise BrokerUnavailable(f"{path} cannot be opened: {error.strerror}") from error
            raise
        self._writer, self._reader, self._synced = writer, reader, True
        self._file = (found.st_dev, found.st_ino)

    def _connection(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.place.path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=256)
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA mmap_size = 0").fetchone()
        db.execute("PRAGMA cache_size = -16000")
        return db

    def close(self) -> None:
        """Close the connections. The last one to close runs a checkpoint, hence the mutex."""
        while self.closing:
            self.closing.pop()()
        self._check_process()
        if not self._opened:
            return
        with self.mutex, self._reading:
            self._opened = False
            self._disconnect()
        self.mutex.close()

    def _disconnect(self) -> None:
        """Close the connections; within both locks."""
        reader, writer = self._reader, self._writer
        self._reader = self._writer = None
        if self._moved():
            _abandon(reader, writer)
        else:
            for connection in (reader, writer):
                if connection is not None:
                    connection.close()

    # -- using ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def write(self, *, synced: bool) -> Iterator[sqlite3.Connection]:
        """A transaction. When it is over the changes are in the file, and with `synced` they have reached the disk.

        What was not synced goes there with the next transaction that is. On any error all is rolled back. Raises `BrokerError`s.
        """
        self._check_process()
        if self._lent == threading.get_ident():
            raise ConfigurationError(
                f"this thread has a transaction open on {self.place.path}: inside of its block jobs can be published, and what else changes"
                " jobs has to wait until it is over"
            )
        with self.mutex:
            db = self._usable()
            try:
                if synced != self._synced:
                    # Not `execute`: it would find the prepared statement, and this pragma acts when it is prepared.
                    db.executescript("PRAGMA synchronous = FULL" if synced else "PRAGMA synchronous = NORMAL")
                    self._synced = synced
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except sqlite3.Error as error:
                _roll_back(db)
                raise translate(error, self.place.path) from error
            except BaseException:
                _roll_back(db)
                raise

    @contextmanager
    def lend(self, connection: sqlite3.Connection | None = None) -> Iterator[sqlite3.Connection]:
        """The mutex, for a transaction on a connection of the user's, or else on a new one. The transaction is the caller's business."""
        self._check_process()
        with self.mutex:
            self._usable()
            db = connection
            if db is None:
                db = self._connection()
                db.execute("PRAGMA wal_autocheckpoint = 1000").fetchone()
                db.executescript("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
            self._lent = threading.get_ident()
            try:
                yield db
            finally:
                self._lent = 0
                if connection is None:
                    db.close()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The reading connection, for single statements. Raises `BrokerError`s."""
        self._check_process()
        if self._reader is None:
            with self.mutex:
                self._usable()
        with self._reading:
            db = self._reader
            if db is None:
                raise self._unusable()
            try:
                yield db
            except sqlite3.Error as error:
                raise translate(error, self.place.path) from error

    def cut_log(self) -> None:
        """Give back the space of a log that has grown far beyond its usual size."""
        try:
            if os.stat(f"{self.place.path}-wal").st_size <= LOG_LIMIT:
                return
        except OSError:
            return
        with self.mutex:
            db = self._usable()
            try:
                db.execute("PRAGMA busy_timeout = 100")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                raise translate(error, self.place.path) from error
            finally:
                db.execute(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")

    def _usable(self) -> sqlite3.Connection:
        """The connection that writes, within the mutex; made again if a fork has closed it."""
        if not self._opened or self._moved():
            raise self._unusable()
        if self._writer is None:
            self._connect()
        assert self._writer is not None
        return self._writer

    def _moved(self) -> bool:
        """Whether the file that we have open is no longer the one with its name. To write into it then would be to lose jobs."""
        try:
            there = os.stat(self.place.path)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != self._file

    def _unusable(self) -> BrokerUnavailable:
        if not self._opened:
            return BrokerUnavailable(f"{self.place.path} is not open in this process; was it closed, or is this a forked child?")
        return BrokerUnavailable(f"{self.place.path} was deleted or replaced while this process had it open: restart the process")

    # -- forks ----------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close the connections and keep every thread out until the fork is over."""
        self._paused = self._opened and self.mutex.before_fork(FORK_PATIENCE, self._pause)

    def _pause(self) -> None:
        if not self._reading.acquire(timeout=FORK_PATIENCE):
            raise BrokerUnavailable("a read does not end")
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        if self._paused:
            self._reading.release()
            self.mutex.after_fork_in_parent()
            self._paused = False

    def after_fork_in_child(self) -> None:
        """Drop everything; close nothing that still is the parent's (sqlite.org/howtocorrupt.html, 2.6)."""
        if self._writer is not None or self._reader is not None:
            _abandon(self._reader, self._writer)
            _inherited.add(self._file)
        self._reader = self._writer = None
        self._opened = self._paused = False
        self._pid = os.getpid()
        self._reading = threading.Lock()
        self.closing.clear()
        self.mutex.after_fork_in_child()

    def _check_process(self) -> None:
        if self._pid != os.getpid():  # forked past Python: no hook ran
            self.after_fork_in_child()


def _create(path: str) -> None:
    """Make the file, for its owner only. The log and its index take over the mode of the database."""
    try:
        # O_EXCL also because an existing file must not be opened here: closing it again would drop the locks that
        # another connection of this process has on it (sqlite.org/howtocorrupt.html, 2.2).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        give_away(path)
    except FileExistsError:
        pass


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        try:
            db.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite rolls back by itself after the errors that make this one fail.
            pass


def _abandon(*connections: sqlite3.Connection | None) -> None:
    """Let connections never be closed, not even at the end of the process.

    To close them would drop or delete by name what now belongs to others: the parent's locks, another database's log.
    """
    import ctypes

    for connection in connections:
        if connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


_open: weakref.WeakSet[Store] = weakref.WeakSet()
_forking: list[Store] = []
_inherited: set[tuple[int, int]] = set()
"""Files that this process may not open: it has its parent's records of their locks, and not the locks."""


def _before_fork() -> None:
    # Kept in a list, so that nobody else's reaction to the fork can make one of them vanish, which would close it.
    _forking.extend(_open)
    for store in _forking:
        store.before_fork()


def _after_fork_in_parent() -> None:
    for store in reversed(_forking):
        store.after_fork_in_parent()
    _forking.clear()


def _after_fork_in_child() -> None:
    for store in _forking:
        store.after_fork_in_child()
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
