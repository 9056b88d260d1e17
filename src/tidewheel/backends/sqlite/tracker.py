"""The state of jobs that another engine carries: ordinary rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tidewheel import lifeline
from tidewheel.backends.keeping import ELSEWHERE, RESULTS
from tidewheel.backends.sqlite import publishing
from tidewheel.backends.sqlite.consumer import Consumer
from tidewheel.backends.sqlite.ending import Held, finish
from tidewheel.backends.sqlite.rows import EXPIRED, RUNNING, Row, deliveries
from tidewheel.backends.sqlite.schema import statement
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import WorkerInfo
from tidewheel.core.job import Delivery

SWEPT = 1.0
"""Seconds within which a sweep finds out whether the holder of a lifeline lives, which is sooner than any carrier is sure of it."""

_LOOK, _TAKE, _ADOPT, _WITHDRAW = statement("look_carried"), statement("take"), statement("adopt"), statement("withdraw")
_DROP_PAYLOAD, _DROP_HISTORY = statement("drop_payload"), statement("drop_history")


class Tracker:
    """See `tidewheel.contract.Tracker`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def consumer(self, info: WorkerInfo) -> TrackingConsumer:
        return TrackingConsumer(self._store, info)

    def withdraw(self, ids: Sequence[str]) -> int:
        with self._store.write(synced=True) as db:
            gone = [id_ for id_ in ids if db.execute(_WITHDRAW, (id_,)).rowcount == 1]
            for id_ in gone:
                db.execute(_DROP_PAYLOAD, (id_,))
                db.execute(_DROP_HISTORY, (id_,))
        return len(gone)


class TrackingConsumer(Consumer):
    """See `tidewheel.contract.TrackingConsumer`."""

    def take(self, batch: Sequence[Delivery]) -> Sequence[Delivery | float | None]:
        if not batch:
            return []
        if not lifeline.held(self._life):
            return [ELSEWHERE] * len(batch)
        self._claims += 1
        with self._store.write(synced=False) as db:
            now = self._store.clock()
            answers = [self._take_one(db, carried, now) for carried in batch]
            taken = {d.id: d for d in deliveries(db, [row for row in answers if isinstance(row, tuple)], self._long)}
        if None in answers:  # perhaps because it has just expired
            self._store.bells.ring_waiters()
        return [taken[carried.id] if isinstance(answer, tuple) else answer for carried, answer in zip(batch, answers, strict=True)]

    def _take_one(self, db: sqlite3.Connection, carried: Delivery, now: float) -> Row | float | None:
        found = db.execute(_LOOK, (carried.id,)).fetchone()
        if found is None:
            if publishing.store(db, [carried.envelope], now)[0].id != carried.id:
                return None
            past = (carried.published, carried.deliveries - 1, carried.attempts, carried.strikes, carried.losses)
            db.execute(_ADOPT, (*past, carried.id))
            found = db.execute(_LOOK, (carried.id,)).fetchone()
        seq, state, queue, due, expires, losses = found
        if state == RUNNING:
            return SWEPT if carried.losses > losses else ELSEWHERE
        if state > RUNNING:
            return None
        if expires is not None and expires <= now:
            finish(db, Held(carried.id, seq, queue, "", False, 0, 0, 0), EXPIRED, now, RESULTS)
            return None
        if due > now:
            return float(due - now)
        row: Row = db.execute(_TAKE, (self._id, self._claims, now, seq)).fetchone()
        return row
