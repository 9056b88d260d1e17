"""Results in memory of jobs that another engine carries."""

from __future__ import annotations

from collections.abc import Sequence

from tidewheel.backends.keeping import archived, visible
from tidewheel.backends.memory.store import Store
from tidewheel.contract import Final


class Archive:
    """See `tidewheel.contract.Archive`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, batch: Sequence[Final]) -> None:
        store = self._store
        with store.lock:
            now = store.clock()
            for final in batch:
                known = store.archive.get(final.id)
                if known is None or known.deliveries <= final.deliveries or known.until <= now:
                    store.file(final.id, final.deliveries, archived(final, now), now + visible(final.outcome.ttl))
            store.changed.notify_all()
