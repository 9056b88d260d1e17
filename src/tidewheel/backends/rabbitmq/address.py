"""Where the server is: what a URL says, checked.

    amqp://[user[:password]@]host[:port][/vhost]     amqps://… the same within TLS

A vhost with a slash in it is written with %2F; without one it is `/`. Parameters: `prefix` (what the names of our queues begin with, so
that several apps share a vhost), `heartbeat` (seconds; a connection that is silent for so long is dead, and its worker's jobs go to
others), `confirm_timeout` (seconds within which a publication has an outcome), `connect_timeout` (seconds), `consumer_timeout` (seconds for
which the server lets a worker keep one job), and for TLS `ca`, `cert`, `key` (paths of PEM files).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from tidewheel.backends import mask
from tidewheel.backends.urls import TLS, URL

PASSWORD = "TIDEWHEEL_RABBITMQ_PASSWORD"
"""The environment variable that is asked when the URL has no password."""

_SECONDS = {
    "heartbeat": (15.0, 1, 600), "confirm_timeout": (10.0, 1, 600), "connect_timeout": (5.0, 1, 60),
    "consumer_timeout": (0.0, 60, 31_536_000),
}  # fmt: skip
"""Parameter -> its default, the least and the most that it may be."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A checked URL."""

    url: str
    """Without password."""
    host: str = "127.0.0.1"
    port: int = 5672
    vhost: str = "/"
    username: str = "guest"
    password: str = "guest"
    prefix: str = "tidewheel"
    heartbeat: float = 15.0
    confirm_timeout: float = 10.0
    connect_timeout: float = 5.0
    consumer_timeout: float = 0.0
    """0: not said."""
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}"


def parse(url: str, environ: Mapping[str, str] = os.environ) -> Address:
    """The address that a URL names. Raises `ConfigurationError` that says what is wrong with it."""
    u = URL(
        url, mask(url),
        "the broker URL cannot be read: expected amqp://[user:password@]host[:port][/vhost]; / # ? @ in a password are written"
        " %2F %23 %3F %40",
    )  # fmt: skip
    tls = u.scheme == "amqps"
    values = u.parameters(("prefix", *_SECONDS, *(TLS if tls else ())), dict.fromkeys(TLS, "TLS files belong to amqps://"))
    path = u.path[1:]
    if "/" in path:
        raise u.wrong(f"a vhost has no / in it, or it is written %2F: /{path.strip('/').replace('/', '%2F')}")
    prefix = values.get("prefix", "tidewheel")
    if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,40}", prefix):
        raise u.wrong(f"prefix={prefix}: up to 40 letters, digits and any of _ . -")
    times = {name: u.seconds(values, name, *limits) for name, limits in _SECONDS.items()}
    return Address(
        url=u.shown, host=u.host or "127.0.0.1", port=u.port or (5671 if tls else 5672), vhost=unquote(path) or "/",
        username=u.username or "guest", password=u.password or environ.get(PASSWORD) or "guest", prefix=prefix, tls=tls,
        ca=values.get("ca"), cert=values.get("cert"), key=values.get("key"), **times,
    )  # fmt: skip
