"""Publishing and settling in a transaction on a connection of the user's to the same file.

The block `begin` takes the writer mutex for as long as its transaction is open, as every transaction of ours does
(docs/decisions/0004); a transaction that the user began alone goes without, which SQLite's own locks make safe, but for its bug of
resetting the log that 3.51.3 has mended.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tidewheel.backends.sqlite import publishing
from tidewheel.backends.sqlite.faults import translate
from tidewheel.backends.sqlite.settling import settle_one
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import Receipt, Settlement, Verdict
from tidewheel.core.job import Envelope
from tidewheel.errors import ConfigurationError

SAVEPOINT = "tidewheel_block"


class _Bells:
    """Whom to wake once a block is committed."""

    def __init__(self) -> None:
        self.queues: set[str] = set()
        self.waiters = False


class Transactions:
    """See `tidewheel.contract.Transactions`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._blocks: dict[int, _Bells] = {}
        """The outermost blocks that are open, by the id of their connection."""

    @contextmanager
    def begin(self, connection: Any = None) -> Iterator[sqlite3.Connection]:
        if connection is None:
            with self._store.lend() as db, self._outermost(db):
                yield db
            return
        db = self._checked(connection)
        if db.in_transaction:
            with _savepoint(db):
                yield db
            return
        with self._store.lend(db), self._outermost(db):
            yield db

    @contextmanager
    def _outermost(self, db: sqlite3.Connection) -> Iterator[None]:
        store = self._store
        bells = self._blocks[id(db)] = _Bells()
        try:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise translate(error, store.place.path) from error
            try:
                yield
                _still_open(db)
                _commit(db, store.place.path)
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        finally:
            del self._blocks[id(db)]
        if bells.waiters:
            store.bells.ring_waiters()
        store.bells.ring_idle(bells.queues)

    def publish(self, batch: Sequence[Envelope], connection: Any) -> Sequence[Receipt]:
        db = self._checked(connection)
        self._needs_transaction(db)
        with self._translated():
            receipts = publishing.store(_plain(db), batch, self._store.clock())
        if (bells := self._blocks.get(id(db))) is not None:
            bells.queues.update(envelope.queue for envelope in batch)
        return receipts

    def settle(self, batch: Sequence[Settlement], connection: Any) -> Sequence[Verdict]:
        db = self._checked(connection)
        self._needs_transaction(db)
        again: set[str] = set()
        now = self._store.clock()
        with self._translated():
            verdicts: list[Verdict] = [settle_one(_plain(db), settlement, now, again) for settlement in batch]
        if (bells := self._blocks.get(id(db))) is not None:
            bells.queues.update(again)
            bells.waiters = True
        return verdicts

    def committed(self, queues: Iterable[str]) -> None:
        self._store.bells.ring_idle(queues)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translate(error, self._store.place.path) from error

    def _checked(self, connection: Any) -> sqlite3.Connection:
        path = self._store.place.path
        if not isinstance(connection, sqlite3.Connection):
            raise ConfigurationError(f"a transaction on {path} needs a sqlite3.Connection to that file, and this is {type(connection)}")
        files = {name: file for _, name, file in _plain(connection).execute("PRAGMA database_list").fetchall()}
        there = files.get("main") or ""
        if not there or not os.path.exists(there) or not os.path.samefile(there, path):
            raise ConfigurationError(
                f"this connection is to {there or 'a database in memory'}, and the jobs are in {path}: one commit for both needs both in "
                "one file"
            )
        return connection

    def _needs_transaction(self, db: sqlite3.Connection) -> None:
        if db.in_transaction:
            return
        if db.isolation_level is None:
            raise ConfigurationError(
                'no transaction is open on this connection: publish within `with app.transaction(connection):`, or after "BEGIN IMMEDIATE"'
            )
        db.execute("BEGIN IMMEDIATE")  # as the module sqlite3 does before the first statement that writes


def _plain(db: sqlite3.Connection) -> sqlite3.Connection:
    """Something with `execute` and `executemany` whose rows are tuples, whatever the connection makes of its rows."""
    if db.row_factory is None:
        return db
    cursor = db.cursor()
    cursor.row_factory = None
    return cursor  # type: ignore[return-value]  # it has the two methods that are used, and they answer the same


def _still_open(db: sqlite3.Connection) -> None:
    if not db.in_transaction:
        raise ConfigurationError(
            "commit() or rollback() was called on the connection inside of the transaction block: leave the ending to the block"
        )


def _commit(db: sqlite3.Connection, path: str) -> None:
    try:
        db.execute("COMMIT")
    except sqlite3.IntegrityError:
        raise  # a deferred constraint of the user's
    except sqlite3.Error as error:
        raise translate(error, path) from error


@contextmanager
def _savepoint(db: sqlite3.Connection) -> Iterator[None]:
    db.execute(f"SAVEPOINT {SAVEPOINT}")
    try:
        yield
        _still_open(db)
        db.execute(f"RELEASE {SAVEPOINT}")
    except BaseException:
        if db.in_transaction:
            db.execute(f"ROLLBACK TO {SAVEPOINT}")
            db.execute(f"RELEASE {SAVEPOINT}")
        raise
