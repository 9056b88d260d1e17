"""Where the server is: what a URL says, checked.

    redis://[user[:password]@]host[:port][/db]     rediss://… the same within TLS     unix:///path/of/socket[?db=1]

`valkey://` and `valkeys://` are the same as `redis://` and `rediss://`. Parameters: `prefix` (the namespace, so that several apps share a
database), `lease` (seconds without a beat after which a worker is suspected), and for TLS `ca`, `cert`, `key` (paths of PEM files).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from tidewheel.backends import mask
from tidewheel.backends.urls import TLS, URL
from tidewheel.core.limits import BEAT, LEASE

PASSWORD = "TIDEWHEEL_REDIS_PASSWORD"
"""The environment variable that is asked when the URL has no password."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A checked URL."""

    url: str
    """Without password."""
    host: str = "127.0.0.1"
    port: int = 6379
    path: str | None = None
    """Of a unix socket; then host and port mean nothing."""
    db: int = 0
    username: str | None = None
    password: str | None = None
    prefix: str = "tidewheel"
    lease: float = LEASE
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @property
    def beat(self) -> float:
        """Seconds between beats: as many fit into a lease as by default."""
        return self.lease * BEAT / LEASE

    @property
    def where(self) -> str:
        """For messages."""
        return self.path or f"{self.host}:{self.port}"


def parse(url: str, environ: Mapping[str, str] = os.environ) -> Address:
    """The address that a URL names. Raises `ConfigurationError` that says what is wrong with it."""
    shown = mask(url)
    u = URL(
        url, shown,
        f"broker URL {shown!r}: expected redis://[user:password@]host[:port][/db]; / # ? @ in a password are written %2F %23 %3F %40",
    )  # fmt: skip
    unix, tls = u.scheme == "unix", u.scheme in ("rediss", "valkeys")
    known = ("prefix", "lease", *(("db",) if unix else ()), *(TLS if tls else ()))
    values = u.parameters(known, dict.fromkeys(TLS, "TLS files belong to rediss://"))
    if unix:
        if u.host:
            raise u.wrong("a unix socket is given by its absolute path, with three slashes: unix:///run/redis/redis-server.sock")
        if u.path in ("", "/"):
            raise u.wrong("expected the path of a unix socket, as unix:///run/redis/redis-server.sock")
        db = values.get("db", "0")
    else:
        db = u.path.strip("/") or "0"
    if not re.fullmatch(r"[0-9]{1,5}", db):
        raise u.wrong(f"the database is a number, as in redis://127.0.0.1:6379/1, not {db!r}")
    prefix = values.get("prefix", "tidewheel")
    if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", prefix):
        raise u.wrong(f"prefix={prefix}: up to 64 letters, digits and any of _ . -")
    return Address(
        url=shown, host=u.host or "127.0.0.1", port=6379 if u.port is None else u.port, path=unquote(u.path) if unix else None, db=int(db),
        username=u.username, password=u.password or environ.get(PASSWORD) or None, prefix=prefix,
        lease=u.seconds(values, "lease", LEASE, 1, 3600), tls=tls, ca=values.get("ca"), cert=values.get("cert"), key=values.get("key"),
    )  # fmt: skip
