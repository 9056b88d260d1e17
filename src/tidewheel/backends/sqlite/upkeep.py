"""What somebody has to do now and then: promote, expire, take back from the dead, prune. In small transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from tidewheel.backends.keeping import RESULTS, kept, lost_error, visible
from tidewheel.backends.sqlite.ending import Held, settle
from tidewheel.backends.sqlite.schema import statement
from tidewheel.core.options import NO_RETRY
from tidewheel.core.outcome import Counters, Lost, decide

_PROMOTE, _EXPIRE, _PRUNE, _PURGE = statement("promote"), statement("expire"), statement("prune"), statement("purge")
_PRUNE_KEPT = statement("prune_kept")
_DROP_PAYLOAD, _DROP_HISTORY = statement("drop_payload"), statement("drop_history")
_HOLDINGS, _GOODBYE = statement("holdings"), statement("goodbye")


def promote(db: sqlite3.Connection, now: float, limit: int) -> list[str]:
    """Make due jobs ready; answers the queue of each."""
    return [queue for (queue,) in db.execute(_PROMOTE, (now, limit)).fetchall()]


def expire(db: sqlite3.Connection, now: float, limit: int) -> int:
    """End waiting jobs that are too late."""
    values = {"now": now, "limit": limit, "until": visible(RESULTS), "keep": kept(RESULTS, 0.0)}
    ids = db.execute(_EXPIRE, values).fetchall()
    db.executemany(_DROP_PAYLOAD, ids)
    return len(ids)


def prune(db: sqlite3.Connection, now: float, limit: int) -> int:
    """Delete ended jobs whose retention is over."""
    return _forget(db, db.execute(_PRUNE, (now, limit)).fetchall()) + db.execute(_PRUNE_KEPT, (now, limit)).rowcount


def purge(db: sqlite3.Connection, queue: str, limit: int) -> int:
    """Delete waiting jobs of a queue."""
    return _forget(db, db.execute(_PURGE, (queue, limit)).fetchall())


def _forget(db: sqlite3.Connection, ids: list[tuple[str]]) -> int:
    db.executemany(_DROP_PAYLOAD, ids)
    db.executemany(_DROP_HISTORY, ids)
    return len(ids)


def holdings(db: sqlite3.Connection, worker: str) -> list[Held]:
    """Everything a worker holds."""
    return [
        Held(id_, seq, queue, worker, bool(cancel), attempts, strikes, losses)
        for id_, cancel, attempts, strikes, losses, queue, seq in db.execute(_HOLDINGS, (worker,)).fetchall()
    ]


def bury_worker(db: sqlite3.Connection, worker: str, now: float) -> list[Held]:
    """Take back everything a dead worker held; answers what that was. The caller holds its lifelines."""
    jobs = holdings(db, worker)
    for job in jobs:
        counters = Counters(job.attempts, job.strikes, job.losses)
        settle(db, job, decide(Lost(lost_error(worker)), counters, NO_RETRY, cancelled=job.cancel), now)
    db.execute(_GOODBYE, (worker,))
    return jobs


def queues_of(jobs: Iterable[Held]) -> set[str]:
    return {job.queue for job in jobs}
