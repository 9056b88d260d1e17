"""Looking at jobs and workers. Newest first by id, for ids sort by time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidewheel.backends.sqlite import liveness
from tidewheel.backends.sqlite.rows import STATES, history, view
from tidewheel.backends.sqlite.schema import statement
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import JobFilter, WorkerInfo
from tidewheel.core.job import JobView

_JOB, _HISTORY, _WORKERS = statement("job"), statement("history"), statement("workers")


class Browse:
    """See `tidewheel.contract.Browse`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def jobs(self, which: JobFilter, limit: int = 50, before: str | None = None) -> Sequence[JobView]:
        if which.ids:
            query = "jobs_named"
        elif which.state in ("dead", "cancelled", "expired"):
            query = "jobs_failed"
        elif which.state == "running":
            query = "jobs_running"
        else:
            query = "jobs"
        values = {
            "ids": msgspec.json.encode(which.ids).decode(), "state": STATES.index(which.state) if which.state is not None else None,
            "queue": which.queue, "task": which.task, "before": before, "limit": limit,
        }  # fmt: skip
        with self._store.read() as db:
            return [view(db, row) for row in db.execute(statement(query), values).fetchall()]

    def job(self, job_id: str) -> JobView | None:
        with self._store.read() as db:
            row = db.execute(_JOB, (job_id,)).fetchone()
            return view(db, row, history(db.execute(_HISTORY, (job_id,)).fetchall())) if row is not None else None

    def workers(self) -> Sequence[WorkerInfo]:
        with self._store.read() as db:
            rows = db.execute(_WORKERS).fetchall()
        files = liveness.files(self._store.place)
        now = self._store.clock()
        said = [(msgspec.json.decode(info, type=WorkerInfo), running) for info, running in rows]
        return [
            msgspec.structs.replace(info, running=running, seen=now) for info, running in said if liveness.lives(files.get(info.id, []))
        ]
