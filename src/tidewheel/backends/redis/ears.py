"""Being told: one connection on which the server says what happened, and an alarm by which this process interrupts the waiting.

Messages are hints. Whoever waits looks for itself now and then (`POLL`), so that a lost one costs seconds and nothing else.
"""

from __future__ import annotations

from typing import Any

import redis

from tidewheel.backends.redis.connections import Connection, disown, fileno
from tidewheel.backends.redis.faults import translate
from tidewheel.backends.redis.store import Store
from tidewheel.backends.waiting import Alarm, readable

POLL = 5.0
"""Seconds after which a waiting thread looks for itself."""


class Ears:
    """Listens to one channel. To be used by one thread at a time, but for `alarm`."""

    def __init__(self, store: Store, channel: bytes) -> None:
        self.alarm = Alarm()
        self._store = store
        self._channel = channel
        self._connection: Connection | None = None

    @property
    def listening(self) -> bool:
        return self._connection is not None

    def open(self) -> bool:
        """Listen from now on. True if it was not listening: what was said before was not heard. Raises `BrokerError`s."""
        if self._connection is not None:
            return False
        connection: Connection | None = None
        try:
            connection = self._store.connections.make()
            connection.send_command("SUBSCRIBE", self._channel, check_health=False)
            connection.read_response()
        except (redis.RedisError, OSError) as error:
            if connection is not None:
                connection.disconnect()
            raise translate(error, self._store.address) from error
        self._connection = connection
        return True

    def hear(self, timeout: float) -> tuple[list[bytes], bool]:
        """What is said within `timeout` seconds, at least one thing if there is any; and whether the alarm rang, which ends it.

        Raises `BrokerError`s.
        """
        connection = self._connection
        fd = -1 if connection is None else fileno(connection)
        ready = readable((self.alarm.fd, fd), timeout)
        rang = self.alarm.fd in ready
        if rang:
            self.alarm.clear()
        said: list[bytes] = []
        if connection is not None and (fd < 0 or fd in ready):
            try:
                said = self._read(connection)
            except (redis.RedisError, OSError) as error:
                self.shut()
                raise translate(error, self._store.address) from error
        return said, rang

    def _read(self, connection: Connection) -> list[bytes]:
        said: list[bytes] = []
        while True:
            message: Any = connection.read_response()
            if message[0] == b"message":
                said.append(message[2])
            if not connection.can_read(0):
                return said

    def shut(self) -> None:
        """Listen no more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def disown(self) -> None:
        """In a forked child: let the parent listen."""
        disown((self._connection, self.alarm))
        self._connection = None
        self.alarm = Alarm()

    def close(self) -> None:
        self.shut()
        self.alarm.close()
