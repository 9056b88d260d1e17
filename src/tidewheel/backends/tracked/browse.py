"""Looking at jobs and workers: the keeper's, of this carrier only."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from tidewheel.backends.tracked.pair import Pair
from tidewheel.contract import JobFilter, WorkerInfo
from tidewheel.core.job import JobView


class Browse:
    """See `tidewheel.contract.Browse`."""

    def __init__(self, pair: Pair) -> None:
        self._browse = pair.browse
        self._naming = pair.naming

    def jobs(self, which: JobFilter, limit: int = 50, before: str | None = None) -> Sequence[JobView]:
        if which.queue is not None:
            which = replace(which, queue=self._naming.inside(which.queue))
        found: list[JobView] = []
        while len(found) < limit:
            page = self._browse.jobs(which, limit, before)
            found += [view for inside in page if (view := self._outside(inside)) is not None]
            if len(page) < limit:
                break
            before = page[-1].id
        return found[:limit]

    def job(self, job_id: str) -> JobView | None:
        view = self._browse.job(job_id)
        return None if view is None else self._outside(view)

    def _outside(self, view: JobView) -> JobView | None:
        queue = self._naming.outside(view.queue)
        return None if queue is None else replace(view, queue=queue)

    def workers(self) -> Sequence[WorkerInfo]:
        """Those that consume from this carrier; one that names no queues may be anybody's."""
        found = []
        for info in self._browse.workers():
            queues = tuple(queue for inside in info.queues if (queue := self._naming.outside(inside)) is not None)
            if queues or not info.queues:
                found.append(replace(info, queues=queues))
        return found
