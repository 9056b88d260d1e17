"""Interfering with jobs in memory."""

from __future__ import annotations

from collections.abc import Sequence

from tidewheel.backends.memory.store import Job, Store
from tidewheel.contract import CancelAnswer


class Control:
    """Cancels, revives and buries under the store's lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def cancel(self, ids: Sequence[str]) -> Sequence[CancelAnswer]:
        with self._store.lock:
            now = self._store.clock()
            return [self._cancel(i, now) for i in ids]

    def _cancel(self, job_id: str, now: float) -> CancelAnswer:
        job = self._store.jobs.get(job_id)
        if job is None:
            return "unknown"
        if job.state in ("ready", "scheduled"):
            self._store.cancel(job, now)
            return "cancelled"
        if job.state == "running":
            job.cancel = True
            self._store.news.add(job.worker or "")
            self._store.changed.notify_all()
            return "requested"
        return "ended"

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        with self._store.lock:
            now = self._store.clock()
            return [self._revive(i, now) for i in ids]

    def _revive(self, job_id: str, now: float) -> bool:
        job = self._dead(job_id)
        if job is None:
            return False
        self._store.revive(job, now)
        return True

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        with self._store.lock:
            return [self._bury(i) for i in ids]

    def _bury(self, job_id: str) -> bool:
        job = self._dead(job_id)
        if job is None:
            return False
        self._store.remove(job)
        return True

    def _dead(self, job_id: str) -> Job | None:
        job = self._store.jobs.get(job_id)
        return job if job is not None and job.state == "dead" else None
