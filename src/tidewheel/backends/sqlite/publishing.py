"""Storing envelopes, within the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tidewheel.backends.sqlite.rows import insertion
from tidewheel.backends.sqlite.schema import statement
from tidewheel.contract import Receipt
from tidewheel.core.job import Envelope

_PUBLISH, _PUBLISH_PAYLOAD = statement("publish"), statement("publish_payload")
_RELEASE_KEY, _FIND_KEY, _LOOK = statement("release_key"), statement("find_key"), statement("look")


def store(db: sqlite3.Connection, batch: Sequence[Envelope], now: float) -> list[Receipt]:
    """Store the batch; one receipt each, in order."""
    if len(batch) > 1 and all(envelope.key is None for envelope in batch):
        db.execute("SAVEPOINT batch")
        if _all_new(db, batch, now):
            db.execute("RELEASE batch")
            return [Receipt(envelope.id) for envelope in batch]
        # The count does not tell which were known. It is rare: once more, one by one.
        db.execute("ROLLBACK TO batch")
        db.execute("RELEASE batch")
    return [_one(db, envelope, now) for envelope in batch]


def _all_new(db: sqlite3.Connection, batch: Sequence[Envelope], now: float) -> bool:
    insertions = [insertion(envelope, now) for envelope in batch]
    if db.executemany(_PUBLISH, [row for row, _ in insertions]).rowcount != len(batch):
        return False
    for envelope, (_, long) in zip(batch, insertions, strict=True):
        if long:
            db.execute(_PUBLISH_PAYLOAD, (envelope.id, envelope.body))
    return True


def _one(db: sqlite3.Connection, envelope: Envelope, now: float) -> Receipt:
    row, long = insertion(envelope, now)
    if envelope.key is not None:
        db.execute(_RELEASE_KEY, (envelope.queue, envelope.key, now))
    if db.execute(_PUBLISH, row).rowcount == 1:
        if long:
            db.execute(_PUBLISH_PAYLOAD, (envelope.id, envelope.body))
        return Receipt(envelope.id)
    if envelope.key is not None and db.execute(_LOOK, (envelope.id,)).fetchone() is None:
        (holder,) = db.execute(_FIND_KEY, (envelope.queue, envelope.key)).fetchone()
        return Receipt(holder, False)
    return Receipt(envelope.id, False)
