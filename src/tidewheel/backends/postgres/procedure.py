"""What takes several statements, written once for connections that block and for those that are awaited.

A procedure is a generator: it yields the name of a statement and its values, is sent the rows, and returns what it came to.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg.rows import tuple_row

from tidewheel.backends.postgres.store import Store

T = TypeVar("T")
Procedure: TypeAlias = Generator[tuple[str, Sequence[Any]], list[Any], T]


def run(store: Store, connection: Any, procedure: Procedure[T]) -> T:
    """On a connection that blocks, of ours or of the user's. Raises psycopg's errors."""
    try:
        name, values = next(procedure)
        while True:
            name, values = procedure.send(store.ask(connection, name, values))
    except StopIteration as end:
        answer: T = end.value
        return answer


async def arun(store: Store, connection: psycopg.AsyncConnection[Any], procedure: Procedure[T]) -> T:
    """On one of the user's that is awaited. Raises psycopg's errors."""
    try:
        name, values = next(procedure)
        while True:
            cursor = psycopg.AsyncRawCursor(connection, row_factory=tuple_row)
            await cursor.execute(store.sql(name), values, binary=True)
            name, values = procedure.send(await cursor.fetchall() if cursor.description is not None else [])
    except StopIteration as end:
        answer: T = end.value
        return answer
