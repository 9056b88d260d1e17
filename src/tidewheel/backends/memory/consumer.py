"""A worker's session in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tidewheel.backends.memory.store import Job, Store
from tidewheel.contract import AtOnce, Beat, Progress, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import Delivery, Token


class Consumer:
    """Claims, beats and settles under one lock."""

    lifeline: str | None = None
    beat_every = 1.0

    def __init__(self, store: Store, info: WorkerInfo) -> None:
        self._store = store
        self._info = info
        self._claims = 0
        self._first = 0
        self._woken = False
        self.news = False
        with store.lock:
            store.workers[info.id] = info

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        store = self._store
        deadline = time.monotonic() + wait
        with store.lock:
            while True:
                got = self._take(queues, limit) if limit > 0 else []
                left = deadline - time.monotonic()
                if got or left <= 0:
                    return got
                if self._info.id in store.news:
                    store.news.discard(self._info.id)
                    self.news = True
                    return []
                if self._woken:
                    self._woken = False
                    return []
                due = store.next_due()
                if due is not None:
                    left = min(left, max(0.001, due - store.clock()))
                store.changed.wait(left)

    def _take(self, queues: Sequence[str], limit: int) -> list[Delivery]:
        store, now, worker = self._store, self._store.clock(), self._info.id
        if worker not in store.workers:
            return []
        store.promote(now)
        store.expire(now)
        self._claims += 1
        self._first = (self._first + 1) % max(1, len(queues))
        taken: list[Job] = []
        for queue in (*queues[self._first :], *queues[: self._first]):
            while len(taken) < limit and (job := store.take(queue, worker, self._claims, now)) is not None:
                taken.append(job)
        taken.sort(key=lambda job: (-job.envelope.priority, job.seq))
        return [job.delivery() for job in taken]

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        store = self._store
        with store.lock:
            now = store.clock()
            return [self._settle(settlement, now) for settlement in batch]

    def _settle(self, settlement: Settlement, now: float) -> Verdict:
        store = self._store
        job = store.jobs.get(settlement.id)
        if job is None or job.state != "running":
            return "gone"
        if settlement.token != Token(job.worker or "", job.claim):
            return "stale"
        store.settle(job, settlement.outcome, now)
        for envelope in settlement.publish:
            store.add(envelope, now)
        return "ok"

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        store = self._store
        with store.lock:
            self.news = False
            store.news.discard(self._info.id)
            for said in progress:
                job = store.jobs.get(said.id)
                if job is not None and job.state == "running" and said.token == Token(job.worker or "", job.claim):
                    job.progress = said.data
            owned = store.owned.get(self._info.id, {})
            cancels = tuple(id_ for id_, job in owned.items() if job.cancel)
            return Beat(owned=len(owned), cancels=cancels, lost=self._info.id not in store.workers)

    def owned(self) -> Sequence[Delivery]:
        with self._store.lock:
            return [job.delivery() for job in self._store.owned.get(self._info.id, {}).values()]

    def wake(self) -> None:
        with self._store.lock:
            self._woken = True
            self._store.changed.notify_all()

    def close(self) -> None:
        store = self._store
        with store.lock:
            store.release(self._info.id, store.clock())

    def abandon(self) -> None:
        """Die without a goodbye, as a killed process does: the next sweep takes the jobs back. For tests."""
        with self._store.lock:
            self._store.killed.add(self._info.id)
