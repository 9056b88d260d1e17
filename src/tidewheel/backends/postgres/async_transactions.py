"""Publishing in a transaction on a connection of the user's that is awaited. As in `transactions.py`, nothing is told from within it.

What must not block the event loop, because it uses a connection of ours, runs in a thread: the first look at a connection, and the bell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from tidewheel.backends.postgres import publishing
from tidewheel.backends.postgres.faults import translate
from tidewheel.backends.postgres.guests import Guests, made
from tidewheel.backends.postgres.procedure import arun
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Receipt
from tidewheel.core.job import Envelope
from tidewheel.errors import ConfigurationError


class AsyncTransactions:
    """See `tidewheel.contract.AsyncTransactions`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guests = Guests(store)

    def takes(self, connection: object) -> bool:
        return isinstance(connection, psycopg.AsyncConnection)

    @asynccontextmanager
    async def begin(self, connection: Any) -> AsyncIterator[Any]:
        checked = self._of_kind(connection)
        if self._guests.within(checked):
            async with checked.transaction():
                await self._look(checked)
                yield connection
            return
        with self._guests.block(checked) as told:
            async with checked.transaction():
                await self._look(checked)  # in the block, for it begins a transaction
                yield connection
                self._guests.may_commit(checked)
        if told.ready:
            await asyncio.to_thread(told.ring, self._store)

    async def publish(self, batch: Sequence[Envelope], connection: Any) -> Sequence[Receipt]:
        checked = self._of_kind(connection)
        self._guests.needs_transaction(checked, "async with")
        await self._look(checked)
        if not batch:
            return []
        try:
            receipts, _ = await arun(self._store, checked, publishing.storing(self._store, batch, ours=False))
        except psycopg.Error as error:
            raise translate(error, self._store.address) from error
        self._guests.published(checked, batch)
        return receipts

    def _of_kind(self, connection: Any) -> psycopg.AsyncConnection[Any]:
        if isinstance(connection, psycopg.Connection):
            raise ConfigurationError(
                f"{self._guests.where}: this is a psycopg.Connection, which blocks: `with app.transaction(connection):`, and publish with"
                " `task.delay(…)`; or take a psycopg.AsyncConnection"
            )
        if not isinstance(connection, psycopg.AsyncConnection):
            raise self._guests.no_connection(connection)
        self._guests.usable(connection)
        return connection

    async def _look(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Whether it leads to the jobs of ours."""
        if self._guests.known(connection):
            return
        mine = await asyncio.to_thread(self._guests.mine)
        try:
            theirs = await arun(self._store, connection, made())
        except psycopg.Error as error:
            raise translate(error, self._store.address) from error
        self._guests.admit(connection, theirs, mine)
