"""Results in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from tidewheel.backends.keeping import kept
from tidewheel.backends.memory.store import Store
from tidewheel.contract import Record
from tidewheel.core.job import ENDED


class ResultStore:
    """Answers from the jobs themselves."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waking = 0
        self._heard = 0

    def records(self, ids: Sequence[str]) -> Mapping[str, Record]:
        store = self._store
        with store.lock:
            return store.known(ids, store.clock(), ended=False)

    def wait(self, ids: Sequence[str], timeout: float) -> Mapping[str, Record]:
        store = self._store
        deadline = time.monotonic() + timeout
        with store.lock:
            while True:
                ended = store.known(ids, store.clock(), ended=True)
                left = deadline - time.monotonic()
                if ended or left <= 0 or self._waking != self._heard:
                    self._heard = self._waking
                    return ended
                store.changed.wait(left)

    def wake_waiters(self) -> None:
        with self._store.lock:
            self._waking += 1
            self._store.changed.notify_all()

    def forget(self, ids: Sequence[str]) -> int:
        store = self._store
        count = 0
        with store.lock:
            now = store.clock()
            for id_ in ids:
                filed = store.archive.pop(id_, None)
                count += filed is not None and filed.until > now
            for job in filter(None, map(store.jobs.get, ids)):
                if job.state not in ENDED or job.until <= now:
                    continue
                job.until, job.value = 0.0, None
                if job.state != "dead":
                    assert job.finished is not None
                    job.error = None
                    job.keep = job.finished + kept(0.0, job.envelope.key_window if job.envelope.key is not None else 0.0)
                    store.prune_at(job)
                count += 1
        return count
