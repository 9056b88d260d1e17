"""A few connections that any thread may take, use for one command, and give back.

redis-py's `Connection` is used directly: its pool and client cost a third of a publication more than the command itself.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

import hiredis
import redis

from tidewheel.backends.redis.address import Address
from tidewheel.backends.waiting import readable

CONNECT = 1.5
"""Seconds within which a connection must be made."""
ANSWER = 3.0
"""Seconds within which a command must be answered."""
SPARE = 16
"""Unused connections that are kept."""
pack = cast("Callable[[tuple[Any, ...]], bytes]", hiredis.pack_command)
"""A command as bytes. (redis-py's own way looks at each argument once more, in Python: a tenth of a publication of many.)"""
_inherited: list[object] = []
"""Connections that belong to our parent. To let go of them would close them."""


class Connection(Protocol):
    """What we use of redis-py's `Connection`. Its methods raise redis-py's errors."""

    _sock: socket.socket | None

    def connect(self) -> None: ...
    def send_packed_command(self, command: Any, check_health: bool = True) -> None: ...
    def send_command(self, *words: Any, check_health: bool = True) -> None: ...
    def read_response(self) -> Any: ...
    def can_read(self, timeout: float = 0) -> bool: ...
    def disconnect(self) -> None: ...


class Connections:
    """Connections to one server. Usable from many threads; in a forked child it is empty."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._spare: deque[Connection] = deque()
        self._pid = os.getpid()

    def take(self, limit: float = ANSWER) -> tuple[Connection, bool]:
        """A connection, made within `limit` seconds, and whether it was used before. Raises redis-py's errors."""
        if self._pid != os.getpid():  # forked past Python: no hook ran
            self.after_fork()
        while self._spare:
            try:
                connection = self._spare.pop()
            except IndexError:
                break
            # Two microseconds, so that a server that has gone is noticed before anything is sent: then its fate is known.
            if not _closed(connection):
                return connection, True
            connection.disconnect()
        return self.make(limit), False

    def give(self, connection: Connection) -> None:
        """Give one back that is ready for the next command."""
        if len(self._spare) < SPARE:
            self._spare.append(connection)
        else:
            connection.disconnect()

    def make(self, limit: float = ANSWER) -> Connection:
        """A new connection, whose answers may take `limit` seconds. Raises redis-py's errors."""
        a = self._address
        options: dict[str, Any] = {
            "db": a.db, "username": a.username, "password": a.password, "protocol": 2, "client_name": "tidewheel",
            "socket_timeout": limit, "socket_connect_timeout": min(CONNECT, limit),
        }  # fmt: skip
        kind: Any
        if a.path is not None:
            kind = redis.UnixDomainSocketConnection
            options["path"] = a.path
        else:
            options.update(host=a.host, port=a.port, socket_keepalive=True, socket_keepalive_options=_keepalive())
            kind = redis.SSLConnection if a.tls else redis.Connection
            if a.tls:
                options.update(ssl_check_hostname=True, ssl_ca_certs=a.ca, ssl_certfile=a.cert, ssl_keyfile=a.key)
        connection: Connection = kind(**options)
        connection.connect()
        return connection

    def close(self) -> None:
        """Close what is not in use."""
        while self._spare:
            self._spare.pop().disconnect()

    def after_fork(self) -> None:
        """Let go of the parent's connections without closing them."""
        _inherited.append(self._spare)
        self._spare = deque()
        self._pid = os.getpid()


def disown(connection: object) -> None:
    """Let a connection of the parent's never be closed by this process."""
    _inherited.append(connection)


def fileno(connection: Connection) -> int:
    """What to select on; -1 when it is closed."""
    sock = connection._sock
    return -1 if sock is None else sock.fileno()


def patience(connection: Connection, seconds: float) -> None:
    """How long its next answers may take."""
    sock = connection._sock
    if sock is not None:
        sock.settimeout(seconds)


def _closed(connection: Connection) -> bool:
    """Whether there is something to read although nothing was asked: the end, or an error."""
    fd = fileno(connection)
    return fd < 0 or bool(readable((fd,), 0))


def _keepalive() -> dict[int, int]:
    """A peer that has vanished is noticed after a minute also where nobody asks for anything."""
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
