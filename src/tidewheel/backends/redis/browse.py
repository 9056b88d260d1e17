"""Looking at jobs and workers. Newest first by id, for ids sort by time.

There is no index of all jobs by id: a page of anything but dead letters walks through the hash, in small steps that hold nobody up.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Sequence

import msgspec

from tidewheel.backends.redis import layout
from tidewheel.backends.redis.settling import STEP
from tidewheel.backends.redis.store import Store
from tidewheel.contract import JobFilter, WorkerInfo
from tidewheel.core.job import HistoryEntry, JobView

_ENTRY = struct.Struct(">dHH")
_SOURCES = {"scheduled": "job", "ready": "job", "running": "run", "succeeded": "end", "cancelled": "end", "expired": "end"}


class Browse:
    """See `tidewheel.contract.Browse`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def jobs(self, which: JobFilter, limit: int = 50, before: str | None = None) -> Sequence[JobView]:
        start = layout.raw(before) if before is not None else b""
        if which.ids:
            named = sorted((id_ for id_ in layout.known(which.ids) if not start or id_ < start), reverse=True)
            found = [view for view in self._look(named) if _fits(view, which)]
            return found[:limit]
        if which.state == "dead":
            return self._dead(which, limit, start)
        newest: list[bytes] = []
        for source in (_SOURCES[which.state],) if which.state is not None else ("job", "end"):
            newest = self._walk(source, which, limit, start, newest)
        return self._look(newest)

    def _walk(self, source: str, which: JobFilter, limit: int, before: bytes, newest: list[bytes]) -> list[bytes]:
        """The newest ids, of those given and of those that fit in one hash."""
        state = "" if which.state is None else layout.STATES.index(which.state)
        cursor: bytes = b"0"
        while True:
            cursor, *ids = self._store.run("scan", [source, cursor, state, which.queue or "", which.task or "", before])
            newest = heapq.nlargest(limit, {*newest, *ids})
            if cursor == b"0":
                return newest

    def _dead(self, which: JobFilter, limit: int, before: bytes) -> list[JobView]:
        """Dead letters have an index, for it is they that are looked through."""
        found: list[JobView] = []
        while True:
            ids = sorted(self._store.run("dead", [max(limit, 50), before, which.queue or ""]), reverse=True)[: max(limit, 50)]
            found += [view for view in self._look(ids) if _fits(view, which)]
            if len(found) >= limit or len(ids) < max(limit, 50):
                return found[:limit]
            before = ids[-1]

    def _look(self, ids: Sequence[bytes]) -> list[JobView]:
        found: list[JobView] = []
        for start in range(0, len(ids), STEP):
            some = ids[start : start + STEP]
            answer = self._store.run("look", some, size=len(some))
            views = (_view(id_, answer[5 * n : 5 * n + 5]) for n, id_ in enumerate(some))
            found += [view for view in views if view is not None]
        return found

    def job(self, job_id: str) -> JobView | None:
        ids = list(layout.known([job_id]))
        views = self._look(ids)
        if not views:
            return None
        return msgspec.structs.replace(views[0], history=tuple(_entry(data) for data in self._store.run("history", ids)))

    def workers(self) -> Sequence[WorkerInfo]:
        found = []
        answer = self._store.run("workers")
        for info, beat, running in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
            seen = struct.unpack_from(">Id", beat)[1] if beat else None
            found.append(msgspec.structs.replace(msgspec.json.decode(info, type=WorkerInfo), running=running, seen=seen))
        return sorted(found, key=lambda info: info.id)


def _fits(view: JobView, which: JobFilter) -> bool:
    return (
        (which.state is None or view.state == which.state)
        and (which.queue is None or view.queue == which.queue)
        and (which.task is None or view.task == which.task)
    )


def _view(id_: bytes, answer: Sequence[bytes]) -> JobView | None:
    record, data, state, due, progress = answer
    end = layout.read_end(record) if record else None
    if end is None and not data:
        return None
    stored = layout.read_job(end.job if end is not None else data)
    run = end.run if end is not None else layout.read_run(state)
    head = stored.head
    number = end.state if end is not None else layout.RUNNING if run.fence else layout.SCHEDULED if due else layout.READY
    return JobView(
        id=layout.text(id_), state=layout.STATES[number], task=head.task, queue=head.queue, priority=head.priority,
        published=stored.published, due=float(due) if due else run.due or stored.due or stored.published, started=run.started or None,
        finished=end.finished if end is not None else None, expires=stored.expires, key=head.key, worker=run.worker,
        deliveries=run.deliveries, attempts=run.attempts, strikes=run.strikes, losses=run.losses,
        cancel_requested=bool(run.cancel and number == layout.RUNNING), reason=end.reason if end is not None else "", body=stored.body,
        value=end.value if end is not None else None, error=(end.error or None) if end is not None else None, progress=progress or None,
        headers=head.headers,
    )  # fmt: skip


def _entry(data: bytes) -> HistoryEntry:
    at, a, b = _ENTRY.unpack_from(data)
    rest = data[_ENTRY.size :]
    return HistoryEntry(at=at, event=rest[:a].decode(), worker=rest[a : a + b].decode(), detail=rest[a + b :])
