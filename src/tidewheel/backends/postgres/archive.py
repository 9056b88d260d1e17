"""Results of jobs that another engine carries."""

from __future__ import annotations

from collections.abc import Sequence

from tidewheel.backends.keeping import archived, visible
from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.rows import STATES, raw
from tidewheel.backends.postgres.settling import STEP
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Final


class Archive:
    """See `tidewheel.contract.Archive`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, batch: Sequence[Final]) -> None:
        store = self._store
        latest = {final.id: final for final in sorted(batch, key=lambda final: final.deliveries)}  # one statement writes each once
        finals = list(latest.values())
        for start in range(0, len(finals), STEP):
            some = finals[start : start + STEP]
            records = [archived(final, 0.0) for final in some]  # the moment is the server's
            rows = store.run("keep", [
                arrays.uuids([raw(f.id) for f in some]), arrays.longs([f.deliveries for f in some]),
                arrays.shorts([STATES.index(r.state) for r in records]), arrays.doubles([visible(f.outcome.ttl) for f in some]),
                arrays.longs([f.attempts for f in some]), arrays.texts([r.reason or None for r in records]),
                arrays.byteas([r.value for r in records]), arrays.byteas([r.error for r in records]), store.bells.house,
                store.bells.waiters,
            ], size=len(some))  # fmt: skip
            if rows[0][0]:
                store.tell([f.id for f in some])
