"""Looking at jobs in memory."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidewheel.backends.memory.store import Job, Store
from tidewheel.contract import JobFilter, WorkerInfo
from tidewheel.core.job import JobView


class Browse:
    """Scans everything: this engine is for tests."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def jobs(self, which: JobFilter, limit: int = 50, before: str | None = None) -> Sequence[JobView]:
        def fits(job: Job) -> bool:
            e = job.envelope
            return (
                (which.state is None or job.state == which.state)
                and (which.queue is None or e.queue == which.queue)
                and (which.task is None or e.task == which.task)
                and (not which.ids or e.id in which.ids)
                and (before is None or e.id < before)
            )

        with self._store.lock:
            chosen = sorted(filter(fits, self._store.jobs.values()), key=lambda job: job.envelope.id, reverse=True)
            return [job.view() for job in chosen[:limit]]

    def job(self, job_id: str) -> JobView | None:
        with self._store.lock:
            job = self._store.jobs.get(job_id)
            return msgspec.structs.replace(job.view(), history=tuple(job.history)) if job is not None else None

    def workers(self) -> Sequence[WorkerInfo]:
        store = self._store
        with store.lock:
            now = store.clock()
            return [
                msgspec.structs.replace(info, running=len(store.owned.get(id_, ())), seen=now)
                for id_, info in sorted(store.workers.items())
                if id_ not in store.killed
            ]
