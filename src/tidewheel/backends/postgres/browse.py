"""Looking at jobs and workers. Newest first by id, for ids sort by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.types.numeric import Int2, Int8

from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.rows import STATES, known, raw, view
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import JobFilter, WorkerInfo
from tidewheel.core.job import JobView

_BY_STATE = {"dead": "jobs_failed", "cancelled": "jobs_failed", "expired": "jobs_failed", "running": "jobs_held"}


class Browse:
    """See `tidewheel.contract.Browse`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def jobs(self, which: JobFilter, limit: int = 50, before: str | None = None) -> Sequence[JobView]:
        values: list[Any] = [
            None if which.state is None else Int2(STATES.index(which.state)), which.queue, which.task,
            None if before is None else arrays.Uuid(raw(before)), Int8(limit),
        ]  # fmt: skip
        if which.ids:
            return self._ask("jobs_named", [*values, arrays.uuids(list(known(which.ids).values()))])
        return self._ask(_BY_STATE.get(which.state or "", "jobs"), values)

    def job(self, job_id: str) -> JobView | None:
        ids = list(known([job_id]).values())
        found = self._ask("jobs_named", [None, None, None, None, Int8(1), arrays.uuids(ids)])
        return found[0] if found else None

    def _ask(self, name: str, values: Sequence[Any]) -> list[JobView]:
        return [view(row) for row in self._store.run(name, values)]

    def workers(self) -> Sequence[WorkerInfo]:
        rows = self._store.run("workers")
        return [msgspec.structs.replace(msgspec.json.decode(info, type=WorkerInfo), running=n, seen=seen) for info, n, seen in rows]
