"""Users' connections to the same database: whether they are that, and what is to be told once their transactions are committed.

What holds for those that block (`transactions.py`) as for those that are awaited (`async_transactions.py`).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus

from tidewheel.backends.postgres import publishing
from tidewheel.backends.postgres.arrays import teach
from tidewheel.backends.postgres.procedure import Procedure, run
from tidewheel.backends.postgres.settling import Told
from tidewheel.backends.postgres.store import Store
from tidewheel.core.job import Envelope
from tidewheel.errors import ConfigurationError

Guest: TypeAlias = psycopg.BaseConnection[Any]


class Guests:
    """The users' connections of one kind."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._same: weakref.WeakSet[Guest] = weakref.WeakSet()
        """Connections that were found to be to our database."""
        self._blocks: dict[int, Told] = {}
        """The outermost blocks that are open, by the id of their connection."""

    @property
    def where(self) -> str:
        return f"a transaction on PostgreSQL at {self._store.address.where}"

    # -- whose connection it is -----------------------------------------------------------------------------------------

    def no_connection(self, thing: object) -> ConfigurationError:
        """The error for what is of neither kind."""
        return ConfigurationError(
            f"{self.where} needs a psycopg.Connection to that database, or for `async with` and `await` a psycopg.AsyncConnection, and this"
            f" is {type(thing)} (Django: connection.connection; SQLAlchemy: connection.connection.driver_connection, or"
            " (await connection.get_raw_connection()).driver_connection)"
        )

    def usable(self, connection: Guest) -> None:
        """Raise `ConfigurationError` for a closed one."""
        if connection.closed:
            raise ConfigurationError(f"{self.where}: this connection is closed")

    def known(self, connection: Guest) -> bool:
        """Whether it was looked at before."""
        return connection in self._same

    def mine(self) -> float | None:
        """The moment at which our schema was made."""
        return self._store.step(lambda ours: run(self._store, ours, made()))

    def admit(self, connection: Guest, theirs: float | None, mine: float | None) -> None:
        """It leads to a schema that was made at the moment `theirs`. Raises `ConfigurationError` when that is none of ours."""
        if theirs is None or theirs != mine:
            info = connection.info
            raise ConfigurationError(
                f"this connection is to {info.host or '(local)'}:{info.port}/{info.dbname}, and the jobs are in schema {self._store.schema}"
                f" of {self._store.address.where}: one commit for both needs both in one database"
            )
        self.learn(connection)

    def learn(self, connection: Guest) -> None:
        teach(connection.adapters)
        self._same.add(connection)

    # -- its transaction ------------------------------------------------------------------------------------------------

    def needs_transaction(self, connection: Guest, block: str) -> None:
        """Raise `ConfigurationError` when none is open, and none will be with the first statement, or when it has failed already."""
        self._check(connection)
        if connection.autocommit and idle(connection):
            raise ConfigurationError(
                f"no transaction is open on this connection, which is in autocommit: publish within `{block} app.transaction(connection):`"
            )

    def within(self, connection: Guest) -> bool:
        """Whether a block on it is one within another, or within a transaction that others end."""
        return id(connection) in self._blocks or not idle(connection)

    @contextmanager
    def block(self, connection: Guest) -> Iterator[Told]:
        """The outermost block: gathers whom to tell when it is committed."""
        told = self._blocks[id(connection)] = Told()
        try:
            yield told
        finally:
            del self._blocks[id(connection)]

    def may_commit(self, connection: Guest) -> None:
        """Raise `ConfigurationError` when jobs were published and the server would roll back at the commit, which neither it nor psycopg
        calls an error.
        """
        if self.told(connection).ready:
            self._check(connection)

    def _check(self, connection: Guest) -> None:
        if connection.pgconn.transaction_status == TransactionStatus.INERROR:
            raise ConfigurationError(
                "a statement failed in this transaction and its error was caught in it, so PostgreSQL undoes all of it, jobs too: let the"
                " error leave the block, or put the statement into a block of its own (connection.transaction())"
            )

    def told(self, connection: Guest) -> Told:
        """Where to write down who is to be told; nobody is where others commit."""
        return self._blocks.get(id(connection)) or Told()

    def published(self, connection: Guest, batch: Sequence[Envelope]) -> None:
        self.told(connection).ready.update(publishing.by_queue(batch))


def idle(connection: Guest) -> bool:
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def made() -> Procedure[float | None]:
    """When the schema was made that a connection leads to; None: there is none."""
    rows = yield "there", ()
    if not rows[0][0]:
        return None
    rows = yield "made", ()
    return None if not rows else rows[0][0]
