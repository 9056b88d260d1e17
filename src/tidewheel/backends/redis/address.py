"""Where the server is: what a URL says, checked.

    redis://[user[:password]@]host[:port][/db]     rediss://… the same within TLS     unix:///path/of/socket[?db=1]

`valkey://` and `valkeys://` are the same as `redis://` and `rediss://`. Parameters: `prefix` (the namespace, so that several apps share a
database), `lease` (seconds without a beat after which a worker is suspected), and for TLS `ca`, `cert`, `key` (paths of PEM files).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tidewheel.backends import mask
from tidewheel.core.limits import BEAT, LEASE
from tidewheel.errors import ConfigurationError

PASSWORD = "TIDEWHEEL_REDIS_PASSWORD"
"""The environment variable that is asked when the URL has no password."""

_TLS = ("ca", "cert", "key")


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

    def wrong(what: str) -> ConfigurationError:
        return ConfigurationError(f"broker URL {shown!r}: {what}")

    try:
        parts = urlsplit(url)
        port = parts.port
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:  # its text may hold a piece of the password
        raise wrong("expected redis://[user:password@]host[:port][/db]; / # ? @ in a password are written %2F %23 %3F %40") from None
    scheme = parts.scheme.lower()
    unix, tls = scheme == "unix", scheme in ("rediss", "valkeys")
    if parts.fragment:
        raise wrong("there is nothing after a #; in a password it is written %23")
    known = ("prefix", "lease", *(("db",) if unix else ()), *(_TLS if tls else ()))
    values: dict[str, str] = {}
    for name, value in given:
        if name not in known:
            more = " (TLS files belong to rediss://)" if name in _TLS else ""
            raise wrong(f"unknown parameter {name!r}; known are {', '.join(known)}{more}")
        if name in values:
            raise wrong(f"the parameter {name!r} is there twice")
        if not value:
            raise wrong(f"the parameter {name!r} has no value")
        values[name] = value
    if unix:
        if parts.hostname:
            raise wrong("a unix socket is given by its absolute path, with three slashes: unix:///run/redis/redis-server.sock")
        if parts.path in ("", "/"):
            raise wrong("expected the path of a unix socket, as unix:///run/redis/redis-server.sock")
        db = values.get("db", "0")
    else:
        db = parts.path.strip("/") or "0"
    if not re.fullmatch(r"[0-9]{1,5}", db):
        raise wrong(f"the database is a number, as in redis://127.0.0.1:6379/1, not {db!r}")
    prefix = values.get("prefix", "tidewheel")
    if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", prefix):
        raise wrong(f"prefix={prefix}: up to 64 letters, digits and any of _ . -")
    try:
        lease = float(values.get("lease", LEASE))
    except ValueError:
        lease = 0.0
    if not 1 <= lease <= 3600:
        raise wrong(f"lease={values['lease']}: seconds from 1 to 3600")
    return Address(
        url=shown, host=parts.hostname or "127.0.0.1", port=6379 if port is None else port, path=unquote(parts.path) if unix else None,
        db=int(db), username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else environ.get(PASSWORD) or None,
        prefix=prefix, lease=lease, tls=tls, ca=values.get("ca"), cert=values.get("cert"), key=values.get("key"),
    )  # fmt: skip
