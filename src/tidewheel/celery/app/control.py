"""`app.control`: asked of the broker, where everything is written down, and not of the workers. Nothing is broadcast."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from tidewheel.celery.app.moved import present
from tidewheel.celery.exceptions import NotSupported
from tidewheel.contract import JobFilter, Record, WorkerInfo
from tidewheel.core.job import JobView
from tidewheel.errors import ResultExpired, UnknownJob
from tidewheel.wire.call import decode_call

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery

__all__ = ["Control", "Inspect"]

MOST = 1000
"""Jobs that one question lists."""

INSTEAD = {
    "rate_limit": "rate limits are not there yet; give the task a queue of its own and a worker with -c 1",
    "time_limit": "give time_limit= to the task, or --time-limit to the worker",
    "add_consumer": "start a worker with -Q",
    "cancel_consumer": "restart the worker with another -Q",
    "autoscale": "restart the worker with another -c",
    "pool_grow": "restart the worker with another -c",
    "pool_shrink": "restart the worker with another -c",
    "pool_restart": "restart the worker",
    "shutdown": "send SIGTERM to the worker: inspect().stats() tells its host and process id",
    "heartbeat": "workers beat by themselves",
    "broadcast": "workers answer no messages",
    "conf": "see app.conf",
    "memdump": "use a profiler",
    "memsample": "use a profiler",
    "objgraph": "use a profiler",
    "clock": "there is no logical clock",
    "revoke_by_stamped_headers": "stamps are not there; revoke by id",
}


def _refuse(name: str) -> NoReturn:
    raise NotSupported(f"control {name} is not there: {INSTEAD[name]}")


class Control:
    def __init__(self, app: Celery) -> None:
        self.app = app

    def inspect(self, destination: Any = None, timeout: float = 1.0, callback: Any = None, connection: Any = None, app: Any = None,
                limit: Any = None, pattern: Any = None, matcher: Any = None) -> Inspect:  # fmt: skip
        """Ask what workers do: `app.control.inspect().active()`."""
        return Inspect(self.app, destination)

    def ping(self, destination: Any = None, timeout: float = 1.0, **kwargs: Any) -> list[dict[str, Any]]:
        """The workers that live, each as `{name: {"ok": "pong"}}`."""
        return [{name: answer} for name, answer in (self.inspect(destination).ping() or {}).items()]

    def revoke(
        self, task_id: Any, destination: Any = None, terminate: bool = False, signal: Any = None, **kwargs: Any
    ) -> list[dict[str, Any]] | None:
        """Do not run these tasks. One that runs goes on, unless `terminate` is said: then it is interrupted.

        `signal` is not used: the run is interrupted, and its process killed only when it ignores that.
        """
        ids = [str(i) for i in task_id] if isinstance(task_id, (list, tuple, set, frozenset)) else [str(task_id)]
        native = self.app.native
        found = {i: record for i in ids if (record := self._present(i)) is not None}
        ids = [r.id for r in found.values() if terminate or r.state != "running"]
        if ids:
            native.cancel(*ids)
        return [] if kwargs.get("reply") else None

    def _present(self, task_id: str) -> Record | None:
        try:
            return present(self.app.native, task_id)
        except (UnknownJob, ResultExpired):
            return None

    def terminate(self, task_id: Any, destination: Any = None, signal: Any = None, **kwargs: Any) -> Any:
        """Do not run these tasks, and interrupt those that run."""
        return self.revoke(task_id, destination=destination, terminate=True, signal=signal, **kwargs)

    def purge(self, connection: Any = None) -> int:
        """Delete every task that waits, in all queues. Answers how many."""
        return sum(self.app.native.purge(queue) for queue in self.app.native.counts())

    discard_all = purge

    def enable_events(self, *args: Any, **kwargs: Any) -> None:
        """Events are always there."""

    disable_events = enable_events

    def election(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotSupported("control election is not there: workers elect nobody")

    def __getattr__(self, name: str) -> Any:
        if name in INSTEAD:
            _refuse(name)
        raise AttributeError(name)


class Inspect:
    """Answers by worker, as Celery does; None when there is no worker (or none of those that were named)."""

    def __init__(self, app: Celery, destination: Any = None) -> None:
        self.app = app
        self.destination = [destination] if isinstance(destination, str) else list(destination) if destination else None

    def _workers(self) -> dict[str, WorkerInfo]:
        found = {f"celery@{w.name}": w for w in self.app.native.browse().workers()}
        if self.destination is not None:
            found = {n: w for n, w in found.items() if n in self.destination or w.name in self.destination}
        return found

    def _each(self, answer: Any) -> dict[str, Any] | None:
        workers = self._workers()
        return {name: answer(info) for name, info in workers.items()} or None

    def ping(self, destination: Any = None) -> dict[str, Any] | None:
        return self._each(lambda info: {"ok": "pong"})

    def active(self, safe: Any = None) -> dict[str, Any] | None:
        """The tasks that run."""
        views = self.app.native.browse().jobs(JobFilter(state="running"), MOST)
        return self._each(lambda info: [self._request(v, info) for v in views if v.worker in (info.id, info.name)])

    def reserved(self, safe: Any = None) -> dict[str, Any] | None:
        """Nothing: what no worker runs waits in the broker, and not in a worker."""
        return self._each(lambda info: [])

    def scheduled(self, safe: Any = None) -> dict[str, Any] | None:
        """The tasks with a time to come. They wait in the broker; each is named under the first worker that serves its queue."""
        views = self.app.native.browse().jobs(JobFilter(state="scheduled"), MOST)
        given: set[str] = set()

        def of(info: WorkerInfo) -> list[dict[str, Any]]:
            mine = [v for v in views if v.id not in given and v.queue in info.queues]
            given.update(v.id for v in mine)
            return [{"eta": _iso(v.due), "priority": v.priority, "request": self._request(v, info)} for v in mine]

        return self._each(of)

    def registered(self, *taskinfoitems: str) -> dict[str, Any] | None:
        """The tasks of this app, under each worker: workers of other code are not asked."""
        names = sorted(self.app.tasks)
        return self._each(lambda info: list(names))

    registered_tasks = registered

    def stats(self) -> dict[str, Any] | None:
        url = self.app.native.describe().url

        def of(info: WorkerInfo) -> dict[str, Any]:
            return {
                "pid": info.pid, "hostname": info.host, "uptime": int(max(0.0, time.time() - info.started)), "broker": {"uri": url},
                "pool": {"implementation": info.pool, "max-concurrency": info.concurrency, "processes": []}, "total": {},
                "prefetch_count": info.concurrency, "running": info.running, "version": info.version,
            }  # fmt: skip

        return self._each(of)

    def active_queues(self) -> dict[str, Any] | None:
        def queue(name: str) -> dict[str, Any]:
            return {"name": name, "routing_key": name, "exchange": {"name": "", "type": "direct"}, "durable": True}

        return self._each(lambda info: [queue(q) for q in info.queues])

    def revoked(self) -> dict[str, Any] | None:
        """The ids of tasks that were revoked and are still known."""
        ids = [v.id for v in self.app.native.browse().jobs(JobFilter(state="cancelled"), MOST)]
        return self._each(lambda info: list(ids))

    def query_task(self, *ids: Any) -> dict[str, Any] | None:
        """Those of these tasks that run, by worker: `{id: ["active", request]}`."""
        wanted: Iterable[str] = ids[0] if len(ids) == 1 and isinstance(ids[0], (list, tuple)) else ids
        views = self.app.native.browse().jobs(JobFilter(ids=tuple(wanted)), MOST)
        return self._each(
            lambda info: {
                v.id: ["active", self._request(v, info)] for v in views if v.state == "running" and v.worker in (info.id, info.name)
            }
        )

    def report(self) -> dict[str, Any] | None:
        return self._each(lambda info: {"ok": f"tidewheel {info.version} pool:{info.pool} concurrency:{info.concurrency}"})

    def __getattr__(self, name: str) -> Any:
        if name in INSTEAD:
            _refuse(name)
        raise AttributeError(name)

    def _request(self, view: JobView, info: WorkerInfo) -> dict[str, Any]:
        try:
            args, kwargs = decode_call(view.body) if view.body else ([], {})
        except (ValueError, NotImplementedError):
            args, kwargs = [], {}
        return {
            "id": view.id, "name": view.task, "type": view.task, "args": args, "kwargs": kwargs, "hostname": f"celery@{info.name}",
            "time_start": view.started, "acknowledged": False, "worker_pid": info.pid,
            "delivery_info": {"exchange": "", "routing_key": view.queue, "priority": view.priority, "redelivered": view.deliveries > 1},
        }  # fmt: skip


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, timezone.utc).isoformat()
