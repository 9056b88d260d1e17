"""Where the database is: what a URL says, checked.

    postgresql://[user[:password]@][host][:port][,host…]/database[?…]      postgres:// is the same

Ours among the parameters: `schema` (the namespace; several apps share a database), `pool` (connections of a process, at most), `lease`
(seconds without a beat after which a worker is suspected), `listen` (`auto`, `off`, or `host:port` of the server itself where the URL
names a pooler), `prepare` (`auto`, `on`, `off`: prepared statements). All others are libpq's (`sslmode`, `passfile`, `service` …).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from tidewheel.backends import mask
from tidewheel.backends.urls import URL
from tidewheel.core.limits import BEAT, LEASE

OURS = ("schema", "pool", "lease", "listen", "prepare")
REFUSED = {"options": "it does not pass poolers", "client_encoding": "it is always UTF8", "replication": "jobs are no replication"}
"""Parameters of libpq that cannot be."""

Choice = str


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A checked URL."""

    url: str
    """Without passwords."""
    where: str
    """For messages."""
    parameters: dict[str, Any]
    """For libpq."""
    schema: str = "tidewheel"
    pool: int = 8
    lease: float = LEASE
    listen: str = "auto"
    prepare: Choice = "auto"

    @property
    def beat(self) -> float:
        """Seconds between beats: as many fit into a lease as by default."""
        return self.lease * BEAT / LEASE


def parse(url: str) -> Address:
    """The address that a URL names. Raises `ConfigurationError` that says what is wrong with it."""
    expected = "expected postgresql://[user:password@]host[:port]/database; / # ? @ in a password are written %2F %23 %3F %40"
    u = URL(url, hide(url), f"broker URL {hide(url)!r}: {expected}", hosts=True)
    ours, theirs = _sorted(u)
    try:
        rest = url.partition(":")[2].partition("?")[0]
        parameters = conninfo_to_dict(f"postgresql:{rest}?{urlencode(theirs)}")
        if not all(port.isdecimal() for port in str(parameters.get("port") or "0").split(",") if port):
            raise ValueError("port")
    except (psycopg.Error, ValueError):
        raise u.wrong(expected) from None
    schema = ours.get("schema", "tidewheel")
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,47}", schema) or schema.startswith("pg_") or schema == "information_schema":
        raise u.wrong(f"schema={schema}: up to 48 small letters, digits and _, not beginning with a digit or pg_")
    pool = ours.get("pool", "8")
    if not re.fullmatch(r"[0-9]{1,4}", pool) or not 1 <= int(pool) <= 1000:
        raise u.wrong(f"pool={pool}: a number of connections from 1 to 1000")
    listen = ours.get("listen", "auto")
    if listen not in ("auto", "off") and not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:/\s]+):[0-9]{1,5}", listen):
        raise u.wrong(f"listen={listen}: auto, off, or host:port of the server itself (where the URL names a pooler)")
    prepare = ours.get("prepare", "auto")
    if prepare not in ("auto", "on", "off"):
        raise u.wrong(f"prepare={prepare}: auto, on or off")
    return Address(
        url=u.shown, where=_where(parameters), parameters=parameters, schema=schema, pool=int(pool),
        lease=u.seconds(ours, "lease", LEASE, 1, 3600), listen=listen, prepare=prepare,
    )  # fmt: skip


def _sorted(u: URL) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The parameters that are for us, and those for libpq."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    ours: dict[str, str] = {}
    theirs: list[tuple[str, str]] = []
    for name, value in u.given:
        if name in REFUSED:
            raise u.wrong(f"the parameter {name!r} cannot be used: {REFUSED[name]}")
        if name in OURS:
            u.put(ours, name, value)
        elif name in known or name == "ssl":
            theirs.append((name, value))
        else:
            raise u.wrong(f"unknown parameter {name!r}; known are {', '.join(OURS)} and those of libpq (sslmode, passfile, service …)")
    return ours, theirs


def hide(url: str) -> str:
    """The URL without the password, wherever it stands."""
    return re.sub(r"(?i)([?&](?:ssl)?password=)[^&#]*", r"\1***", mask(url))


def _where(parameters: dict[str, Any]) -> str:
    """What a person recognises: host, port and database. (Without a host libpq takes its environment or a local socket.)"""
    host, port = parameters.get("host") or parameters.get("hostaddr"), parameters.get("port")
    database = parameters.get("dbname") or "?"
    if not host:
        return f"(local)/{database}" if "service" not in parameters else f"(service {parameters['service']})/{database}"
    if str(host).startswith("/"):
        return f"{host}/.s.PGSQL.{port or 5432}/{database}"
    return f"{host}:{port or 5432}/{database}"
