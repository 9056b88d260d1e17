"""The role `migrations`, and what `open` does about the schema: a new database gets it, an older one is the operator's business."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg

from tidewheel.backends.postgres.connections import ANSWER, Connection, query
from tidewheel.backends.postgres.faults import translate
from tidewheel.backends.postgres.schema import LEDGER, NOW, Step, fill, newest, steps
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Migration
from tidewheel.errors import BrokerCorrupt, BrokerError, ConfigurationError

T = TypeVar("T")
OLDEST = 130000
LOCK = 60.0
"""Seconds that a step may wait for another process which migrates, and for users of a table."""


class Migrations:
    """See `tidewheel.contract.Migrations`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def status(self) -> Sequence[Migration]:
        return _with(self._store, lambda connection: _status(connection, self._store))

    def migrate(self) -> Sequence[Migration]:
        return _with(self._store, lambda connection: _migrate(connection, self._store))


def open_store(store: Store) -> None:
    """Connect and check; make the schema where there is none. Raises a `BrokerError` that names the mend."""
    address = store.address

    def look(connection: Connection) -> bool:
        version = connection.info.server_version
        if version < OLDEST:
            raise ConfigurationError(
                f"PostgreSQL at {address.where} is version {version // 10000}; 13 or newer is needed (Debian 12 has 15)"
            )
        connection.deadline = time.monotonic() + ANSWER
        rows = _ledger(connection, store)
        connection.deadline = None
        if rows is None:
            _migrate(connection, store)
            return True
        there, needed = max((n for n, *_ in rows), default=0), max((c for *_, c in rows), default=0)
        if there < newest():
            missing = ", ".join(f"{s.number} {s.name}" for s in steps() if s.number > there)
            raise BrokerError(
                f"PostgreSQL at {address.where}: schema {address.schema} is older than this release of Tidewheel (missing: {missing});"
                " run tidewheel db migrate"
            )
        if needed > newest():
            raise BrokerCorrupt(
                f"PostgreSQL at {address.where}: schema {address.schema} needs a newer release of Tidewheel (it is at {there}, this one"
                f" knows {newest()}): upgrade Tidewheel here"
            )
        return False

    made = _with(store, look)
    store.opened()
    if made and store.ahead:
        now = float(store.run("now")[0][0])
        store.make_room(now + ahead for ahead in store.ahead)


def _with(store: Store, work: Callable[[Connection], T]) -> T:
    try:
        connection, _ = store.connections.take(ANSWER)
        try:
            return work(connection)
        finally:
            store.connections.give(connection)
    except (psycopg.Error, OSError) as error:
        raise translate(error, store.address) from error


def _ledger(connection: Connection, store: Store) -> list[Any] | None:
    """The rows of the table `migration`; None where there is none."""
    (there,) = query(connection, "SELECT to_regclass($1)", (f'"{store.schema}".migration',)).fetchone() or (None,)
    if there is None:
        return None
    return query(
        connection, fill("SELECT number, name, applied, compatible_from FROM {schema}.migration ORDER BY number", store.schema)
    ).fetchall()


def _status(connection: Connection, store: Store) -> list[Migration]:
    applied = {number: when for number, _, when, _ in _ledger(connection, store) or ()}
    return [_migration(step, store, applied.get(step.number)) for step in steps()]


def _migration(step: Step, store: Store, applied: float | None) -> Migration:
    return Migration(step.number, step.name, fill(step.text, store.schema), applied)


def _migrate(connection: Connection, store: Store) -> list[Migration]:
    """Apply what is missing; what that was."""
    done: list[Migration] = []
    for step in steps():
        with connection.transaction():
            _lock(connection, store)
            _prepare(connection, store)
            applied = {number for number, *_ in _ledger(connection, store) or ()}
            if step.number in applied:
                continue
            connection.execute(fill(step.text, store.schema).encode())  # many statements: the simple protocol
            insert = "INSERT INTO {schema}.migration VALUES ($1::int4, $2::text, {now}, $3::int4) RETURNING applied"
            values = (step.number, step.name, step.compatible_from)
            (when,) = query(connection, fill(insert, store.schema, NOW), values).fetchone() or (0.0,)
            done.append(_migration(step, store, when))
    return done


def _lock(connection: Connection, store: Store) -> None:
    """One process at a time."""
    query(connection, f"SET LOCAL lock_timeout = '{LOCK:g}s'")
    query(connection, f"SELECT pg_advisory_xact_lock({int(store.bells.house)}, {int(store.bells.schema)})")


def _prepare(connection: Connection, store: Store) -> None:
    """The namespace and the table `migration`."""
    where = f"PostgreSQL at {store.address.where}"
    look = "SELECT to_regnamespace($1)::oid, (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1))"
    oid, tables = query(connection, look, (f'"{store.schema}"',)).fetchone() or (None, 0)
    try:
        if oid is None:
            query(connection, fill("CREATE SCHEMA {schema}", store.schema))
        elif _ledger(connection, store) is None and tables:
            raise BrokerCorrupt(f"{where}: schema {store.schema} holds tables of something else; choose another with ?schema=")
        query(connection, fill(LEDGER, store.schema))
    except psycopg.errors.InsufficientPrivilege as error:
        raise BrokerError(
            f"{where}: its user may not make the schema {store.schema}; let somebody who may run tidewheel db migrate, or allow it:"
            f" GRANT CREATE ON DATABASE … TO … (see docs/howto/postgres.md#permissions)"
        ) from error
