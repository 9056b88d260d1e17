"""Interfering with jobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tidewheel.backends.keeping import RESULTS
from tidewheel.backends.sqlite.ending import Held, finish, note
from tidewheel.backends.sqlite.rows import CANCELLED, RUNNING
from tidewheel.backends.sqlite.schema import statement
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import CancelAnswer

_LOOK, _ASK_CANCEL, _REVIVE, _BURY = statement("look"), statement("ask_cancel"), statement("revive"), statement("bury")
_DROP_PAYLOAD, _DROP_HISTORY = statement("drop_payload"), statement("drop_history")


class Control:
    """See `tidewheel.contract.Control`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def cancel(self, ids: Sequence[str]) -> Sequence[CancelAnswer]:
        workers: set[str] = set()
        answers: list[CancelAnswer]
        with self._store.write(synced=True) as db:
            now = self._store.clock()
            answers = [self._cancel(db, id_, now, workers) for id_ in ids]
        for worker in workers:
            self._store.bells.ring_news(worker)
        if "cancelled" in answers:
            self._store.bells.ring_waiters()
        return answers

    def _cancel(self, db: sqlite3.Connection, job_id: str, now: float, workers: set[str]) -> CancelAnswer:
        row = db.execute(_LOOK, (job_id,)).fetchone()
        if row is None:
            return "unknown"
        seq, state, worker, _, _, attempts, strikes, losses, queue = row
        if state < RUNNING:
            finish(db, Held(job_id, seq, queue, "", False, attempts, strikes, losses), CANCELLED, now, RESULTS)
            return "cancelled"
        if state == RUNNING:
            db.execute(_ASK_CANCEL, (seq,))
            workers.add(worker)
            return "requested"
        return "ended"

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        queues = set()
        with self._store.write(synced=True) as db:
            now = self._store.clock()
            revived = []
            for id_ in ids:
                row = db.execute(_REVIVE, (now, id_)).fetchone()
                revived.append(row is not None)
                if row is not None:
                    note(db, id_, now, "revived")
                    queues.add(row[0])
        self._store.bells.ring_idle(queues)
        return revived

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        with self._store.write(synced=True) as db:
            buried = []
            for id_ in ids:
                buried.append(db.execute(_BURY, (id_,)).rowcount == 1)
                if buried[-1]:
                    db.execute(_DROP_PAYLOAD, (id_,))
                    db.execute(_DROP_HISTORY, (id_,))
        return buried
