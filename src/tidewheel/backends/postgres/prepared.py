"""A statement of ours on a connection of ours, nearly as libpq has it.

psycopg's cursors are made for whatever anybody asks; for the same few statements again and again they take as long as the server takes to
store a job. Values and rows go through psycopg's adapters all the same, and waiting through its connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.generators import execute, fetch_many
from psycopg.pq import ExecStatus, Format

if TYPE_CHECKING:
    from tidewheel.backends.postgres.connections import Connection

_Bound: TypeAlias = tuple[bytes, Sequence["Buffer | None"], Sequence[Format] | None]
"""Its name on the server, the values as they are sent, and how."""
_ANSWERED = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class Prepared:
    """To be used by one thread at a time."""

    __slots__ = ("_connection", "_formats", "_loads", "_names", "_text", "_tx")

    def __init__(self, connection: Connection, text: bytes) -> None:
        self._connection = connection
        self._text = text
        self._tx = Transformer(connection)
        self._loads = False
        """Whether it is known how its rows are read."""
        self._formats: list[PyFormat] = []
        self._names: dict[tuple[int, ...], bytes] = {}
        """What it is called on the server, by the types of its values: that of None may be any."""

    def run(self, values: Sequence[Any], *, prepare: bool) -> list[tuple[Any, ...]]:
        """Its rows. Raises psycopg's errors."""
        if prepare:
            self._send(self._bind(values))
        else:
            given = self._dump(values)
            self._connection.pgconn.send_query_params(self._text, given, self._tx.types or (), self._tx.formats, Format.BINARY)
        return self._rows(_checked(self._connection.wait(execute(self._connection.pgconn))))

    def run_then(self, values: Sequence[Any], other: Prepared, more: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Its rows. The server runs the other one when this one is committed, without waiting for us to have heard; what comes of that
        nobody asks. In a transaction of the caller's this cannot be. Raises psycopg's errors.
        """
        connection, pgconn = self._connection, self._connection.pgconn
        bound, also = self._bind(values), other._bind(more)
        pgconn.enter_pipeline_mode()
        self._send(bound)
        pgconn.pipeline_sync()  # the end of its transaction
        other._send(also)
        pgconn.pipeline_sync()
        answers = [connection.wait(execute(pgconn)), *(connection.wait(fetch_many(pgconn)) for _ in range(3))]
        pgconn.exit_pipeline_mode()
        return self._rows(_checked(answers[0]))

    def _bind(self, values: Sequence[Any]) -> _Bound:
        """Have it prepared on the server for such values."""
        given = self._dump(values)
        types = self._tx.types or ()
        name = self._names.get(types)
        if name is None:
            name = b"tidewheel_%d" % self._connection.number()
            self._connection.pgconn.send_prepare(name, self._text, types)
            _checked(self._connection.wait(execute(self._connection.pgconn)))
            self._names[types] = name
        return name, given, self._tx.formats

    def _dump(self, values: Sequence[Any]) -> Sequence[Buffer | None]:
        if len(values) != len(self._formats):
            self._formats = [PyFormat.BINARY] * len(values)
        return self._tx.dump_sequence(values, self._formats)

    def _send(self, bound: _Bound) -> None:
        self._connection.pgconn.send_query_prepared(*bound, Format.BINARY)

    def _rows(self, result: Any) -> list[tuple[Any, ...]]:
        tx = self._tx
        tx.set_pgresult(result, set_loaders=not self._loads)
        self._loads = True
        rows = tx.load_rows(0, result.ntuples, tuple)
        tx.set_pgresult(None, set_loaders=False)  # a resting connection holds on to no answer
        return rows


def _checked(results: Sequence[Any]) -> Any:
    """The only result."""
    for result in results:
        if result.status not in _ANSWERED:
            raise error_from_result(result, encoding="utf-8")
    if not results:
        raise psycopg.OperationalError("the server did not answer")
    return results[-1]
