"""The state, in memory, of jobs that another engine carries."""

from __future__ import annotations

from collections.abc import Sequence

from tidewheel.backends.keeping import ELSEWHERE
from tidewheel.backends.memory.consumer import Consumer
from tidewheel.backends.memory.store import Job, Store
from tidewheel.contract import WorkerInfo
from tidewheel.core.job import ENDED, Delivery


class Tracker:
    """See `tidewheel.contract.Tracker`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def consumer(self, info: WorkerInfo) -> TrackingConsumer:
        return TrackingConsumer(self._store, info)

    def withdraw(self, ids: Sequence[str]) -> int:
        store = self._store
        with store.lock:
            found = [job for job in map(store.jobs.get, dict.fromkeys(ids)) if job is not None and job.state in ("ready", "scheduled")]
            for job in found:
                store.remove(job)
            return len(found)


class TrackingConsumer(Consumer):
    """See `tidewheel.contract.TrackingConsumer`."""

    def take(self, batch: Sequence[Delivery]) -> Sequence[Delivery | float | None]:
        store = self._store
        with store.lock:
            if self._info.id not in store.workers:
                return [ELSEWHERE] * len(batch)
            now = store.clock()
            self._claims += 1
            return [self._take_one(delivery, now) for delivery in batch]

    def _take_one(self, carried: Delivery, now: float) -> Delivery | float | None:
        store = self._store
        job = store.jobs.get(carried.id) or self._adopt(carried, now)
        if job is None:
            return None
        if job.state == "running" and carried.losses > job.losses and (job.worker in store.killed or job.worker not in store.workers):
            store.lose(job, now)
        if job.state == "running":
            return ELSEWHERE
        if job.state in ENDED:
            return None
        if job.expires is not None and job.expires <= now:
            store.end_late(job, now)
            return None
        if job.due > now:
            return job.due - now
        store.claim(job, self._info.id, self._claims, now)
        return job.delivery()

    def _adopt(self, carried: Delivery, now: float) -> Job | None:
        """Store an unknown job as its carrier gave it; None if its key is another's."""
        store = self._store
        if store.add(carried.envelope, now).id != carried.id:
            return None
        job = store.jobs[carried.id]
        job.published = carried.published
        job.deliveries, job.attempts = carried.deliveries - 1, carried.attempts
        job.strikes, job.losses = carried.strikes, carried.losses
        return job
