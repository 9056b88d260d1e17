"""Publishing and settling in a transaction on a connection of the user's to the same database.

Nothing is told from within it: a NOTIFY in a transaction of the user's would make all commits of the server queue up. Who began the
transaction with `begin` has it told afterwards, from a connection of ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from tidewheel.backends.postgres import publishing
from tidewheel.backends.postgres.faults import NO_PARTITION, code, translate
from tidewheel.backends.postgres.guests import Guests, made
from tidewheel.backends.postgres.procedure import run
from tidewheel.backends.postgres.settling import within
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
        self._guests = Guests(store)

    @contextmanager
    def begin(self, connection: Any = None) -> Iterator[Any]:
        if connection is None:
            with self._store.lent() as ours:
                self._guests.learn(ours)
                with self._cut_off(ours), self._block(ours):
                    yield ours
        else:
            with self._block(self._of_kind(connection)) as checked:
                self._look(checked)  # in the block, for it begins a transaction
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
    def _block(self, connection: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
        if self._guests.within(connection):
            with connection.transaction():
                yield connection
            return
        with self._guests.block(connection) as told, connection.transaction():
            yield connection
            self._guests.may_commit(connection)
        told.ring(self._store)

    def publish(self, batch: Sequence[Envelope], connection: Any) -> Sequence[Receipt]:
        connection = self._open(connection)
        if not batch:
            return []
        try:
            receipts, _ = publishing.store(self._store, connection, batch, ours=False)
        except psycopg.Error as error:
            raise translate(error, self._store.address) from error
        self._guests.published(connection, batch)
        return receipts

    def settle(self, batch: Sequence[Settlement], connection: Any) -> Sequence[Verdict]:
        connection = self._open(connection)
        told = self._guests.told(connection)
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
        checked = self._of_kind(connection)
        self._guests.needs_transaction(checked, "with")
        self._look(checked)
        return checked

    def _of_kind(self, connection: Any) -> psycopg.Connection[Any]:
        if isinstance(connection, psycopg.AsyncConnection):
            raise ConfigurationError(
                f"{self._guests.where}: this is a psycopg.AsyncConnection, which is awaited: `async with app.transaction(connection):`, and"
                " publish with `await task.adelay(…)` or `await app.apublish_many([…])`"
            )
        if not isinstance(connection, psycopg.Connection):
            raise self._guests.no_connection(connection)
        self._guests.usable(connection)
        return connection

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        """Whether it leads to the jobs of ours."""
        if self._guests.known(connection):
            return
        mine = self._guests.mine()
        try:
            theirs = run(self._store, connection, made())
        except psycopg.Error as error:
            raise translate(error, self._store.address) from error
        self._guests.admit(connection, theirs, mine)
