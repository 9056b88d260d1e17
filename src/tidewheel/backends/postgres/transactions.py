"""Publishing and settling in a transaction on a connection of the user's to the same database.

Nothing is told from within it: a NOTIFY in a transaction of the user's would make all commits of the server queue up. Who began the
transaction with `begin` has it told afterwards, from a connection of ours.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from tidewheel.backends.postgres import publishing
from tidewheel.backends.postgres.arrays import teach
from tidewheel.backends.postgres.connections import query
from tidewheel.backends.postgres.faults import NO_PARTITION, code, translate
from tidewheel.backends.postgres.settling import Told, within
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Receipt, Settlement, Verdict
from tidewheel.core.job import Envelope
from tidewheel.errors import ConfigurationError

PARTITIONS = 50
"""So many partitions at most are made for one settlement."""


class Transactions:
    """See `tidewheel.contract.Transactions`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._same: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
        """Connections that were found to be to our database."""
        self._blocks: dict[int, Told] = {}
        """The outermost blocks that are open, by the id of their connection."""

    @contextmanager
    def begin(self, connection: Any = None) -> Iterator[Any]:
        if connection is None:
            with self._store.lent() as ours:
                self._learn(ours)
                with self._cut_off(ours), self._block(ours):
                    yield ours
        else:
            with self._block(self._checked(connection)):
                yield connection

    @contextmanager
    def _cut_off(self, ours: psycopg.Connection[Any]) -> Iterator[None]:
        """An engine's own connection that is lost in the middle, or at the commit, is the engine's trouble and not its user's."""
        try:
            yield
        except psycopg.OperationalError as error:
            if ours.closed:
                raise translate(error, self._store.address) from error
            raise

    @contextmanager
    def _block(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        if id(connection) in self._blocks or connection.pgconn.transaction_status != TransactionStatus.IDLE:
            with connection.transaction():
                yield
            return
        told = self._blocks[id(connection)] = Told()
        try:
            with connection.transaction():
                yield
        finally:
            del self._blocks[id(connection)]
        told.ring(self._store)

    def publish(self, batch: Sequence[Envelope], connection: Any) -> Sequence[Receipt]:
        connection = self._open(connection)
        if not batch:
            return []
        try:
            receipts, _ = publishing.store(self._store, connection, batch, ours=False)
        except psycopg.Error as error:
            raise translate(error, self._store.address) from error
        if (told := self._blocks.get(id(connection))) is not None:
            told.ready.update(publishing.by_queue(batch))
        return receipts

    def settle(self, batch: Sequence[Settlement], connection: Any) -> Sequence[Verdict]:
        connection = self._open(connection)
        told = self._blocks.get(id(connection)) or Told()
        for _ in range(PARTITIONS):
            try:
                with connection.transaction():  # a savepoint, for the case that a partition is missing
                    return within(self._store, connection, batch, told, ours=False)
            except psycopg.Error as error:
                if code(error) != NO_PARTITION or not self._store.made_room(error):
                    raise translate(error, self._store.address) from error
        raise ConfigurationError(f"{len(batch):,} outcomes with more than {PARTITIONS} times to live: settle them in several")

    def committed(self, queues: Iterable[str]) -> None:
        self._store.ring(Counter(queues))

    # -- whose connection it is -----------------------------------------------------------------------------------------

    def _open(self, connection: Any) -> psycopg.Connection[Any]:
        """Checked, and within a transaction or about to begin one."""
        checked = self._checked(connection)
        if checked.autocommit and checked.pgconn.transaction_status == TransactionStatus.IDLE:
            raise ConfigurationError(
                "no transaction is open on this connection, which is in autocommit: publish within `with app.transaction(connection):`"
            )
        return checked

    def _checked(self, connection: Any) -> psycopg.Connection[Any]:
        where = f"a transaction on PostgreSQL at {self._store.address.where}"
        if isinstance(connection, psycopg.AsyncConnection):
            raise ConfigurationError(
                f"{where} needs a psycopg.Connection, and this is an AsyncConnection: publish after its commit (await task.adelay(…)),"
                " or do both in a thread with a psycopg.Connection"
            )
        if not isinstance(connection, psycopg.Connection):
            raise ConfigurationError(
                f"{where} needs a psycopg.Connection to that database, and this is a {type(connection).__qualname__}"
                " (Django: connection.connection; SQLAlchemy: connection.connection.driver_connection)"
            )
        if connection.closed:
            raise ConfigurationError(f"{where}: this connection is closed")
        if connection not in self._same:
            self._compare(connection)
        return connection

    def _compare(self, connection: psycopg.Connection[Any]) -> None:
        """Whether it leads to the jobs of ours. The moment at which the schema was made tells it from any other."""
        schema = self._store.schema
        idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        mine = self._store.step(lambda c: _made(c, schema))
        try:
            theirs = _made(connection, schema)
            if idle and not connection.autocommit:
                connection.rollback()  # looking has begun a transaction
        except psycopg.Error as error:
            raise translate(error, self._store.address) from error
        if theirs is None or theirs != mine:
            info = connection.info
            raise ConfigurationError(
                f"this connection is to {info.host or '(local)'}:{info.port}/{info.dbname}, and the jobs are in schema {schema} of"
                f" {self._store.address.where}: one commit for both needs both in one database"
            )
        self._learn(connection)

    def _learn(self, connection: psycopg.Connection[Any]) -> None:
        teach(connection.adapters)
        self._same.add(connection)


def _made(connection: Any, schema: str) -> float | None:
    there = query(connection, "SELECT to_regclass($1)::text", (f'"{schema}".migration',)).fetchone()
    if there is None or there[0] is None:
        return None
    row = query(connection, f'SELECT min(applied) FROM "{schema}".migration').fetchone()
    return None if row is None else row[0]
