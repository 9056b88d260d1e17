"""Where ended jobs lie until they may be forgotten: a partition of `ended` for each span of time, dropped as a whole when that is over.

The sooner a job may go, the narrower is its partition, so that there are few of them and none is kept much longer than it must be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tidewheel.backends.keeping import DEAD_LETTERS, RESULTS
from tidewheel.backends.postgres.connections import query

HOUR, DAY = 3600.0, 86_400.0
Widths = Sequence[tuple[float, float]]
WIDTHS: Widths = ((6 * HOUR, HOUR), (4 * DAY, DAY), (35 * DAY, 7 * DAY), (math.inf, 30 * DAY))
"""Up to so many seconds ahead: so many seconds wide."""
AHEAD: Sequence[float] = (RESULTS, RESULTS + HOUR, DEAD_LETTERS, DEAD_LETTERS + DAY)
"""Partitions for what may go so many seconds from now are made before they are needed; any other when the first row comes."""
LOCK = "100ms"
"""For so long the dropping of a partition may keep publications and outcomes waiting; then it is given up until the next sweep."""
SMALL = 32 << 20
"""Bytes. In a partition up to this size the rows are counted, in a larger one the server's estimate is taken."""


class Partition(msgspec.Struct, frozen=True, order=True):
    """One table, for what may go from `start` on and before `end` (epoch seconds)."""

    start: int
    end: int
    name: str


def span(moment: float, now: float, widths: Widths, taken: Sequence[Partition]) -> tuple[int, int]:
    """The bounds of the partition for what may go at `moment`, clear of those that exist."""
    width = next(width for ahead, width in widths if moment - now <= ahead)
    start = math.floor(moment / width) * int(width)
    end = start + int(width)
    for other in taken:
        if other.end <= moment:
            start = max(start, other.end)
        elif other.start > moment:
            end = min(end, other.start)
    return start, end


def existing(connection: Any, schema: str) -> list[Partition]:
    """Those that there are, the next to go first."""
    rows = query(
        connection,
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent"
        " JOIN pg_namespace n ON n.oid = p.relnamespace WHERE n.nspname = $1 AND p.relname = 'ended'",
        (schema,),
    ).fetchall()
    named = ((name, re.fullmatch(r"ended_(-?[0-9]+)_(-?[0-9]+)", name)) for (name,) in rows)
    return sorted(Partition(int(found[1]), int(found[2]), name) for name, found in named if found)


def add(connection: Any, schema: str, lock: tuple[int, int], moment: float, now: float, widths: Widths) -> None:
    """Make room for what may go at `moment`. One process at a time; raises psycopg's errors."""
    with connection.transaction():
        query(connection, "SET LOCAL lock_timeout = '5s'")
        query(connection, f"SELECT pg_advisory_xact_lock({lock[0]}, {lock[1]})")
        taken = existing(connection, schema)
        if any(p.start <= moment < p.end for p in taken):
            return
        start, end = span(moment, now, widths, taken)
        name = f'"{schema}".ended_{start}_{end}'
        # Made apart and then attached: that does not lock those out who read and write the others.
        query(
            connection,
            f'CREATE TABLE {name} (LIKE "{schema}".ended INCLUDING DEFAULTS INCLUDING STORAGE)'
            " WITH (autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.5)",
        )
        query(connection, f'ALTER TABLE "{schema}".ended ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})')


def drop(connection: Any, schema: str, partition: Partition) -> int:
    """Drop one; about how many jobs were in it. Raises psycopg's errors, a lock's timeout (55P03) where somebody uses it."""
    name = f'"{schema}".{partition.name}'
    with connection.transaction():
        query(connection, f"SET LOCAL lock_timeout = '{LOCK}'")
        look = "SELECT pg_relation_size(oid), greatest(reltuples, 0)::int8 FROM pg_class WHERE oid = $1::regclass"
        size, many = query(connection, look, (name,)).fetchone() or (0, 0)
        if size <= SMALL:
            (many,) = query(connection, f"SELECT count(*) FROM {name}").fetchone() or (0,)
        query(connection, f"DROP TABLE {name}")
    return int(many)
