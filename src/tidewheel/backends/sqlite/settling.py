"""Writing how one delivery ended, within the caller's transaction."""

from __future__ import annotations

import sqlite3

from tidewheel.backends.sqlite import publishing
from tidewheel.backends.sqlite.ending import Held, settle
from tidewheel.backends.sqlite.rows import RUNNING
from tidewheel.backends.sqlite.schema import statement
from tidewheel.contract import Settlement, Verdict

_LOOK = statement("look")


def settle_one(db: sqlite3.Connection, settlement: Settlement, now: float, again: set[str]) -> Verdict:
    """Check the fence and write the outcome. The queues that have work because of it are added to `again`."""
    row = db.execute(_LOOK, (settlement.id,)).fetchone()
    if row is None:
        return "gone"
    seq, state, worker, claim, cancel, attempts, strikes, losses, queue = row
    if state != RUNNING:
        return "gone"
    if (worker, claim) != (settlement.token.worker, settlement.token.claim):
        return "stale"
    held = Held(settlement.id, seq, queue, worker, bool(cancel), attempts, strikes, losses)
    if settle(db, held, settlement.outcome, now):
        again.add(queue)
    if settlement.publish:
        publishing.store(db, settlement.publish, now)
        again.update(envelope.queue for envelope in settlement.publish)
    return "ok"
