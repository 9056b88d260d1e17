"""One database and schema: opening it, and running statements on it. All of psycopg's errors are translated here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from tidewheel.backends import forks
from tidewheel.backends.postgres import partitions
from tidewheel.backends.postgres.address import Address
from tidewheel.backends.postgres.bells import Bells
from tidewheel.backends.postgres.connections import ANSWER, Connection, Connections, Late, settle_in
from tidewheel.backends.postgres.faults import NO_PARTITION, REPEAT, code, cut, translate
from tidewheel.backends.postgres.schema import NOW, statement
from tidewheel.errors import BrokerError, BrokerUnavailable

T = TypeVar("T")
Question = tuple[str, Sequence[Any]]
"""The name of a statement, and its values."""
PUBLISH = 8.0
"""Seconds within which a publication has an outcome, if it is of an ordinary size."""
EACH = 200e-6
"""Seconds that each job of a large call, or each 2,500 bytes of it, may add to the time it has."""
LARGE = 1000
"""Jobs. A call that is about fewer gets no more time than any other."""
CONFLICTS = 10
"""Times that a step which got into the way of another one is repeated."""


class Store:
    """A schema of one database. Usable from many threads; a forked child makes its own connections."""

    def __init__(
        self, address: Address, *, now: str = NOW, monotonic: Callable[[], float] = time.monotonic,
        widths: partitions.Widths = partitions.WIDTHS, ahead: Sequence[float] = partitions.AHEAD,
    ) -> None:  # fmt: skip
        self.address = address
        self.schema = address.schema
        self.monotonic = monotonic
        self.widths = widths
        self.ahead = ahead
        self.bells = Bells(address.schema)
        self.connections = Connections(address, self._made)
        self.pooled: bool | None = None
        """Whether a pooler stands between us and the server; None: not known yet."""
        self.closing: list[Callable[[], None]] = []
        """Called at `close`, by roles that opened something of their own."""
        self.forked: list[Callable[[], None]] = []
        """Called in a forked child."""
        self.now = now
        self._statements: dict[str, bytes] = {}
        self._open = False
        forks.tell(self)

    # -- opening and closing --------------------------------------------------------------------------------------------

    def opened(self) -> None:
        self._open = True

    def close(self) -> None:
        """Close connections. Jobs stay."""
        self._open = False
        while self.closing:
            self.closing.pop()()
        self.connections.drop()

    def _made(self, connection: Connection) -> None:
        # A pooler tells its clients a process id that it made up.
        self.pooled = not settle_in(connection, connection.pgconn.backend_pid)
        if not self.prepares:
            connection.prepare_threshold = None

    @property
    def prepares(self) -> bool:
        """Whether statements are prepared on the server: not where the next one may go to another session."""
        choice = self.address.prepare
        return choice == "on" or (choice == "auto" and self.pooled is False)

    # -- using ----------------------------------------------------------------------------------------------------------

    def sql(self, name: str) -> bytes:
        """A statement of `sql/`, as the server gets it."""
        text = self._statements.get(name)
        if text is None:
            text = self._statements[name] = statement(name, self.schema, self.now)
        return text

    def ask(self, connection: Any, name: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement on a connection; its rows. Raises psycopg's errors. A connection of the user's prepares what it is told to."""
        if not isinstance(connection, Connection) or connection.pgconn.pipeline_status:
            cursor = psycopg.RawCursor(connection, row_factory=tuple_row).execute(self.sql(name), values, binary=True)
            return cursor.fetchall() if cursor.description is not None else []
        return connection.statement(name, self.sql(name)).run(values, prepare=self.prepares)

    def ask_and_hint(self, connection: Connection, question: Question, hint: Question) -> list[Any]:
        """The rows of a statement that is a transaction by itself; when that is committed the server goes on with the other one at once,
        without waiting for us to have heard. Raises psycopg's errors, but none of the hint's.
        """
        first, second = (connection.statement(name, self.sql(name)) for name, _ in (question, hint))
        return first.run_then(question[1], second, hint[1])

    def run(self, name: str, values: Sequence[Any] = (), *, repeat: bool = True, size: int = 0) -> list[Any]:
        """Run a statement in a transaction of its own; its rows. `repeat`: a second time is harmless, so a connection that turns out to be
        dead is no reason to fail. `size`: how many jobs it is about. Raises `BrokerError`s.
        """

        def work(connection: Connection) -> list[Any]:
            return self.ask(connection, name, values)

        return self.step(work, repeat=repeat, size=size)

    def transact(self, work: Callable[[Connection], T], *, repeat: bool = True, size: int = 0) -> T:
        """Do several things in one transaction. Raises `BrokerError`s."""

        def step(connection: Connection) -> T:
            with connection.transaction():
                return work(connection)

        return self.step(step, repeat=repeat, size=size)

    def step(self, work: Callable[[Connection], T], *, repeat: bool = True, size: int = 0) -> T:
        """Do something on a connection of ours; see `run`."""
        self._check()
        limit = self.patience(size)
        conflicts = 0
        while True:
            used = False
            try:
                connection, used = self.connections.take(ANSWER)
                return self._borrow(connection, work, limit)
            except (psycopg.Error, OSError) as error:
                if conflicts < CONFLICTS and (code(error) in REPEAT or self.made_room(error)):
                    conflicts += 1
                    continue
                if used and cut(error):
                    self.connections.drop()
                    if repeat and not isinstance(error, Late):
                        continue
                raise translate(error, self.address) from error

    def patience(self, size: int) -> float:
        """Seconds within which a step about so many jobs must be answered."""
        return ANSWER + _extra(size)

    def publish(self, work: Callable[[Connection], T], size: int) -> tuple[T | None, BrokerError | None]:
        """Do something that publishes; repeated until its outcome is known or the time is over, for the same ids are stored once.

        Answers what it answered; or, as the second, the error after which the outcome is not known. Raises `BrokerError`s when
        nothing was stored.
        """
        self._check()
        extra = _extra(size)
        deadline = time.monotonic() + PUBLISH + extra
        limit = PUBLISH + extra
        unknown: BrokerError | None = None
        conflicts = 0
        while True:
            sent = False
            try:
                connection, _ = self.connections.take(min(limit, ANSWER))
                sent = True
                return self._borrow(connection, work, limit), None
            except (psycopg.Error, OSError) as error:
                if conflicts < CONFLICTS and code(error) in REPEAT:
                    conflicts += 1
                    continue
                fault = translate(error, self.address)
                if sent and cut(error):
                    unknown = fault
                    self.connections.drop()
                elif unknown is None:
                    # Nothing was asked, or it was answered. (If an earlier try did store it, this is no proof of the contrary.)
                    raise fault from error
            limit = deadline - time.monotonic()
            if limit <= 0:
                return None, unknown
            time.sleep(min(0.05, limit))  # it may be restarting

    def on(self, connection: Connection, work: Callable[[Connection], T], limit: float) -> T:
        """One step on a connection, within `limit` seconds; it is closed when nothing more can be done with it. Raises psycopg's errors."""
        try:
            connection.deadline = time.monotonic() + limit
            return work(connection)
        except BaseException as error:
            if not isinstance(error, psycopg.Error) or cut(error) or connection.pgconn.transaction_status != TransactionStatus.IDLE:
                connection.close()
            raise

    def _borrow(self, connection: Connection, work: Callable[[Connection], T], limit: float) -> T:
        """The same on one that was taken, which is given back."""
        try:
            return self.on(connection, work, limit)
        finally:
            self.connections.give(connection)

    def made_room(self, error: BaseException) -> bool:
        """Whether the error was that a partition was missing, which is there now."""
        if code(error) != NO_PARTITION or not isinstance(error, psycopg.Error):
            return False
        found = re.search(r"\(keep\) = \(([-0-9.e+]+)\)", error.diag.message_detail or "")
        if found is None:
            return False
        self.make_room([float(found[1])])
        return True

    def make_room(self, moments: Iterable[float]) -> None:
        """Make the partitions for what may go at these moments. Raises `BrokerError`s."""
        lock = (int(self.bells.house), int(self.bells.schema))

        def work(connection: Connection) -> None:
            taken = partitions.existing(connection, self.schema)
            now = float(self.ask(connection, "now")[0][0])
            for moment in moments:
                if not any(p.start <= moment < p.end for p in taken):
                    partitions.add(connection, self.schema, lock, moment, now, self.widths)

        self.step(work)

    def ring(self, jobs: Mapping[str, int]) -> None:
        """Tell idle workers of as many jobs in each queue. A hint: whatever goes wrong is nobody's business."""
        for queue, many in jobs.items():
            self.hint("ring", self.bells.work(queue, many))

    def tell(self, ids: Sequence[str]) -> None:
        """Tell those who wait that these jobs have ended; a hint as well."""
        if ids:
            self.hint("tell", self.bells.ends(ids))

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """A connection for a block of the user's, whose errors are the driver's own. Raises `BrokerError`s when there is none to be had."""
        self._check()
        try:
            connection = self.connections.lend()
        except (psycopg.Error, OSError) as error:
            raise translate(error, self.address) from error
        try:
            yield connection
        finally:
            self.connections.take_back(connection)

    def hint(self, name: str, values: Sequence[Any]) -> None:
        """Run a statement that only tells somebody something."""
        try:
            self.run(name, values, repeat=False)
        except BrokerError:
            pass

    def _check(self) -> None:
        if not self._open:
            raise BrokerUnavailable(f"PostgreSQL at {self.address.where} is not open in this process; was it closed?")

    # -- forks ----------------------------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        self.connections.after_fork()
        for drop in self.forked:
            drop()
        self.closing.clear()


def _extra(size: int) -> float:
    return size * EACH if size > LARGE else 0.0
