"""Results of jobs that another engine carries."""

from __future__ import annotations

from collections.abc import Sequence

from tidewheel.backends.keeping import archived, visible
from tidewheel.backends.sqlite.rows import STATES
from tidewheel.backends.sqlite.schema import statement
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import Final

_KEEP = statement("keep")


class Archive:
    """See `tidewheel.contract.Archive`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, batch: Sequence[Final]) -> None:
        store = self._store
        with store.write(synced=True) as db:
            now = store.clock()
            rows = []
            for final in batch:
                r = archived(final, now)
                until = now + visible(final.outcome.ttl)
                state = STATES.index(r.state)
                rows.append((r.id, final.deliveries, state, until, now, r.attempts, r.reason or None, r.value, r.error))
            db.executemany(_KEEP, rows)
        store.bells.ring_waiters()
