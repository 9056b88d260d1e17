"""Being told: one connection on which the server says what happened, and an alarm by which this process interrupts the waiting.

Needs a session of its own (LISTEN, advisory locks), so it goes to the server itself and not through a pooler. Where that cannot be, whoever
waits looks for itself, more and more seldom. What is said is a hint in any case.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg

from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.connections import Connection, disown, query
from tidewheel.backends.postgres.faults import REPEAT, code, translate
from tidewheel.backends.postgres.store import Store
from tidewheel.backends.waiting import Alarm, readable

POLL = 1.0
"""Seconds after which a waiting thread looks for itself although it listens."""
FIRST_LOOK, SLACKENING = 0.05, 1.6
"""Seconds after which it looks when it cannot listen: the first time, and the factor up to `POLL`."""
AGAIN = 30.0
"""Seconds after which it is tried again to listen where a pooler was in the way."""
MARK = "200ms"
"""For so long a mark may wait for the commits of those who publish."""

Said = tuple[str, str]
"""Channel and what was said."""


class Ears:
    """Listens to channels. To be used by one thread at a time, but for `alarm`."""

    def __init__(self, store: Store, channels: Sequence[str]) -> None:
        self.alarm = Alarm()
        self._store = store
        self._channels = channels
        self._connection: Connection | None = None
        self._said: list[Said] = []
        self._marks: frozenset[int] = frozenset()
        self._deaf_until = 0.0

    @property
    def listening(self) -> bool:
        return self._connection is not None

    @property
    def marked(self) -> bool:
        return bool(self._marks)

    def open(self) -> bool:
        """Listen from now on, if that can be. True if it does and did not before: what was said meanwhile was not heard. Raises
        `BrokerError`s.
        """
        if self._connection is not None or time.monotonic() < self._deaf_until:
            return False
        listen = self._store.address.listen
        connection: Connection | None = None
        try:
            host, _, port = listen.rpartition(":")
            direct: dict[str, Any] = {"host": host.strip("[]"), "port": port} if port and listen not in ("auto", "off") else {}
            if listen != "off" and (direct or not self._store.pooled):
                connection = self._store.connections.make(**direct)
                (pid,) = query(connection, "SELECT pg_backend_pid()").fetchone() or (0,)
                if pid == connection.pgconn.backend_pid:
                    connection.execute("".join(f'LISTEN "{c}";' for c in self._channels).encode())
                    connection.add_notify_handler(lambda n: self._said.append((n.channel, n.payload)))
                else:
                    connection.close()
                    connection = None
        except (psycopg.Error, OSError) as error:
            if connection is not None:
                connection.close()
            raise translate(error, self._store.address) from error
        if connection is None:
            self._deaf_until = time.monotonic() + AGAIN
            return False
        self._connection, self._marks, self._said = connection, frozenset(), []
        return True

    def mark(self, places: Sequence[int]) -> bool:
        """Let those who publish or settle see that somebody waits there, and only there. False where that cannot be; raises `BrokerError`s.

        After it returned one must look once more: what was committed before is not told.
        """
        wanted = frozenset(places)
        if self._connection is None:
            return False
        if self._marks == wanted:
            return True
        house = int(self._store.bells.house)
        try:
            if self._marks:
                self._ask("SELECT pg_advisory_unlock_all()")
                self._marks = frozenset()
            if wanted:
                self._ask(
                    f"WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '{MARK}', true))"
                    f" SELECT count(pg_advisory_lock_shared({house}, place::int4)) FROM patience, unnest($1::int8[]) AS p (place)",
                    wanted,
                )
                self._marks = wanted
        except psycopg.errors.LockNotAvailable:
            self._marks = frozenset({0})  # some of them may be ours: to be taken back first
            return False
        except (psycopg.Error, OSError) as error:
            self.shut()
            raise translate(error, self._store.address) from error
        return True

    def _ask(self, text: str, places: frozenset[int] | None = None) -> None:
        connection = self._connection
        assert connection is not None
        connection.deadline = time.monotonic() + 3.0
        query(connection, text, () if places is None else (arrays.longs(sorted(places)),))

    def hear(self, timeout: float) -> tuple[list[Said], bool]:
        """What is said within `timeout` seconds, at least one thing if there is any; and whether the alarm rang, which ends it.

        Raises `BrokerError`s.
        """
        connection = self._connection
        if self._said:
            timeout = 0.0
        fd = -1 if connection is None else connection.fileno()
        ready = readable((self.alarm.fd, fd), timeout)
        rang = self.alarm.fd in ready
        if rang:
            self.alarm.clear()
        if connection is not None and fd in ready:
            try:
                connection.pgconn.consume_input()
                while said := connection.pgconn.notifies():
                    self._said.append((said.relname.decode(), said.extra.decode()))
                if connection.pgconn.is_busy() == 0 and connection.pgconn.status != psycopg.pq.ConnStatus.OK:
                    raise psycopg.OperationalError("the connection was closed")
            except (psycopg.Error, OSError) as error:
                self.shut()
                raise translate(error, self._store.address) from error
        heard, self._said = self._said, []
        return heard, rang

    def ask(self, name: str, values: Sequence[Any], limit: float) -> list[Any] | None:
        """The rows of a statement on our own connection, if there is one, to be answered within `limit` seconds: its session on the server
        has just been woken to tell us, and another one would have to be. None: to be asked elsewhere. Raises `BrokerError`s.
        """
        connection = self._connection
        if connection is None:
            return None
        try:
            return self._store.on(connection, lambda c: self._store.ask(c, name, values), limit)
        except (psycopg.Error, OSError) as error:
            if code(error) in REPEAT:
                return None
            if connection.closed:
                self.shut()
            raise translate(error, self._store.address) from error

    def shut(self) -> None:
        """Listen no more."""
        connection, self._connection = self._connection, None
        self._marks = frozenset()
        if connection is not None:
            connection.close()

    def disown(self) -> None:
        """In a forked child: let the parent listen."""
        disown((self._connection, self.alarm))
        self._connection, self._marks, self._said = None, frozenset(), []
        self.alarm = Alarm()

    def close(self) -> None:
        self.shut()
        self.alarm.close()
