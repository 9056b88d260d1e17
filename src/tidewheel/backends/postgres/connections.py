"""A few connections that any thread may take, use for one step, and give back.

Not psycopg_pool: its pool keeps threads, which a fork loses, and takes as long to hand out a connection as the server takes to claim a job.
"""

from __future__ import annotations

import inspect
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from tidewheel.backends.postgres.address import Address
from tidewheel.backends.postgres.arrays import teach
from tidewheel.backends.postgres.prepared import Prepared
from tidewheel.backends.waiting import readable

CONNECT = 3
"""Seconds within which a connection must be made (libpq knows whole ones, and takes 2 at least)."""
ANSWER = 8.0
"""Seconds within which a step must be answered, if it is of an ordinary size."""
_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",  # planning takes longer than most of our statements
    # Such a plan may be made while the tables are empty and used when they are full. So only those that are good for both.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
}
"""What a session of our own gets; behind a pooler there are none, and each statement is planned anew."""
_TIMES = "timeout" in inspect.signature(psycopg.Connection.wait).parameters
_inherited: list[object] = []
"""Connections that belong to our parent. To let go of them would close them."""


class Late(psycopg.OperationalError, TimeoutError):
    """The answer did not come in time."""


class Connection(psycopg.Connection[Any]):
    """One that does not wait for ever, and that remembers how the parameters and rows of each statement are made."""

    deadline: float | None = None
    """On the monotonic clock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._statements: dict[str, Prepared] = {}
        self.number = itertools.count().__next__

    def statement(self, name: str, text: bytes) -> Prepared:
        """The statement of this name, always the same."""
        found = self._statements.get(name)
        if found is None:
            found = self._statements[name] = Prepared(self, text)
        return found

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        if self.deadline is None:
            return super().wait(gen, interval)
        if not _TIMES:
            return super().wait(_until(gen, self.deadline), interval)
        try:
            return super().wait(gen, interval, timeout=max(0.0, self.deadline - time.monotonic()))
        except psycopg.OperationalError as error:
            if type(error).__name__ == "_WaitTimeout":
                raise Late("the server does not answer: timeout") from error
            raise


def _until(gen: PQGen[RV], deadline: float) -> Generator[Any, Any, RV]:
    """The same steps; whoever waits past the deadline is told so. For a psycopg whose `wait` knows no time."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise Late("the server does not answer: timeout")
            wanted = gen.send(ready)
    except StopIteration as end:
        answer: RV = end.value
        return answer


class Connections:
    """Connections to one database. Usable from many threads; in a forked child it is empty."""

    def __init__(self, address: Address, made: Callable[[Connection], None]) -> None:
        self._address = address
        self._made = made
        """Called with each new one."""
        self._reset()

    def _reset(self) -> None:
        self._spare: deque[Connection] = deque()
        self._lent: deque[Connection] = deque()
        self._room = threading.BoundedSemaphore(self._address.pool)
        self._pid = os.getpid()

    def take(self, limit: float = ANSWER) -> tuple[Connection, bool]:
        """A connection, and whether it was used before. Raises psycopg's errors, `Late` when all are in use for `limit` seconds."""
        if self._pid != os.getpid():  # forked past Python: no hook ran
            self.after_fork()
        if not self._room.acquire(timeout=max(0.0, limit)):
            raise Late(f"all {self._address.pool} connections of this process are in use: timeout")
        try:
            while self._spare:
                try:
                    connection = self._spare.pop()
                except IndexError:
                    break
                # Two microseconds, so that a server that has gone is noticed before anything is sent: then its fate is known.
                if not readable((connection.fileno(),), 0):
                    return connection, True
                connection.close()
            return self.make(limit), False
        except BaseException:
            self._room.release()
            raise

    def give(self, connection: Connection) -> None:
        """Give one back; it is kept if it is ready for the next step."""
        if connection.closed or connection.pgconn.transaction_status != TransactionStatus.IDLE:
            connection.close()
        else:
            connection.deadline = None
            self._spare.append(connection)
        try:
            self._room.release()
        except ValueError:
            pass  # it was taken before a fork, or before `close`

    def make(self, limit: float = ANSWER, **other: Any) -> Connection:
        """A new connection, in autocommit. `other` parameters of libpq replace the address's. Raises psycopg's errors."""
        parameters: dict[str, Any] = {
            "connect_timeout": max(2, min(CONNECT, int(limit))), "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
            "tcp_user_timeout": 30_000, "application_name": "tidewheel", **self._address.parameters, **other, "client_encoding": "UTF8",
        }  # fmt: skip
        connection = Connection.connect(autocommit=True, **parameters)
        try:
            teach(connection.adapters)
            connection.deadline = time.monotonic() + max(1.0, limit)
            self._made(connection)
            connection.deadline = None
        except BaseException:
            connection.close()
            raise
        return connection

    def lend(self) -> Connection:
        """One for a block of the user's, beyond the limit: it may be held for long, and what it is set to must not come back to us."""
        while self._lent:
            connection = self._lent.pop()
            if not readable((connection.fileno(),), 0):
                return connection
            connection.close()
        return self.make()

    def take_back(self, connection: Connection) -> None:
        if connection.closed or connection.pgconn.transaction_status != TransactionStatus.IDLE:
            connection.close()
        else:
            self._lent.append(connection)

    def drop(self) -> None:
        """Close those that rest: they are no better than one that was found cut."""
        for rest in (self._spare, self._lent):
            while rest:
                try:
                    rest.pop().close()
                except IndexError:
                    break

    def after_fork(self) -> None:
        """Let go of the parent's connections without closing them."""
        _inherited.append((self._spare, self._lent))
        self._reset()


def query(connection: psycopg.Connection[Any], text: str, values: Sequence[Any] = ()) -> psycopg.RawCursor[Any]:
    """Run a statement with parameters $1, $2 …, unprepared, whatever kind of cursor and row the connection makes. Raises psycopg's."""
    return psycopg.RawCursor(connection, row_factory=tuple_row).execute(text.encode(), values or None, prepare=False, binary=True)


def settle_in(connection: Connection, pid: int) -> bool:
    """Make a session of our own as we want it; False, and nothing is changed, where a pooler stands between."""
    settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items())
    row = query(connection, f"SELECT CASE WHEN pg_backend_pid() = {pid} THEN ROW({settings})::text END").fetchone()
    return row is not None and row[0] is not None


def disown(connection: object) -> None:
    """Let a connection of the parent's never be closed by this process."""
    _inherited.append(connection)
