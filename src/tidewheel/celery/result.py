"""Results, with Celery's surface: `AsyncResult`, `ResultSet`, `GroupResult`, `EagerResult`."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tidewheel.celery import states
from tidewheel.celery._state import allow_join_result, app_or_default, assert_will_not_block, denied_join_result
from tidewheel.celery.app.moved import moved_to, present
from tidewheel.celery.app.request import MARK
from tidewheel.celery.exceptions import IncompleteStream, NotSupported, Retry, TimeoutError
from tidewheel.celery.failures import exception_of
from tidewheel.celery.result_sets import GroupResult, ResultBase, ResultSet
from tidewheel.contract import Record
from tidewheel.core.job import ENDED
from tidewheel.errors import ResultExpired, UnknownJob
from tidewheel.wire.call import decode_call
from tidewheel.wire.failures import decode_error
from tidewheel.wire.values import decode

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery

__all__ = [
    "AsyncResult", "EagerResult", "GroupResult", "ResultBase", "ResultSet", "allow_join_result", "assert_will_not_block",
    "denied_join_result", "result_from_tuple",
]  # fmt: skip

FOREVER = 3600.0 * 24 * 365


class AsyncResult(ResultBase):
    """The result of a task, now or later. Making one asks nobody."""

    TimeoutError = TimeoutError

    def __init__(self, id: str, backend: Any = None, task_name: str | None = None, app: Celery | None = None, parent: Any = None) -> None:
        if id is None:
            raise ValueError("AsyncResult needs the id of a task, and got None")
        self.app = app_or_default(app or self._app)
        self.id = id
        self.parent = parent
        self.on_ready: Any = None
        self.ignored = False
        self._task_name = task_name
        self._cache: dict[str, Any] | None = None
        self._job = id
        """The job that the task is at present: see `app/moved.py`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __str__(self) -> str:
        return str(self.id)

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return bool(other.id == self.id)
        return other == self.id if isinstance(other, str) else NotImplemented

    def __copy__(self) -> AsyncResult:
        return type(self)(self.id, None, self._task_name, self.app, self.parent)

    def __reduce__(self) -> Any:
        return type(self), (self.id, None, self._task_name, None, self.parent)

    @property
    def backend(self) -> Any:
        return self.app.backend

    @property
    def task_id(self) -> str:
        return self.id

    # -- asking -----------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """PENDING (which an unknown id is, too), STARTED, RETRY, SUCCESS, FAILURE, REVOKED, or what `update_state` said."""
        return str(self._meta()["status"])

    status = state

    @property
    def result(self) -> Any:
        """The value; the exception when it failed; what `update_state` said when it runs."""
        return self._meta()["result"]

    info = result

    @property
    def traceback(self) -> str | None:
        found: str | None = self._meta().get("traceback")
        return found

    @property
    def date_done(self) -> datetime | None:
        found: datetime | None = self._meta().get("date_done")
        return found

    def ready(self) -> bool:
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    @property
    def name(self) -> Any:
        return self._task_name or self._view("task")

    @property
    def args(self) -> Any:
        return self._arguments(0)

    @property
    def kwargs(self) -> Any:
        return self._arguments(1)

    @property
    def worker(self) -> Any:
        return self._view("worker")

    @property
    def queue(self) -> Any:
        return self._view("queue")

    @property
    def retries(self) -> Any:
        return self._view("attempts")

    def _view(self, field: str) -> Any:
        _ = self._meta()
        view = self.app.native.browse().job(self._job)
        return None if view is None else getattr(view, field)

    def _arguments(self, which: int) -> Any:
        body = self._view("body")
        return decode_call(body)[which] if body else None

    @property
    def children(self) -> list[Any] | None:
        """What a task has called is not recorded here: None."""
        return None

    @property
    def graph(self) -> Any:
        raise NotSupported("AsyncResult.graph is not there: which task called which is not recorded")

    def _meta(self) -> dict[str, Any]:
        if self._cache is None:
            try:
                record = present(self.app.native, self._job)
            except (UnknownJob, ResultExpired):
                return {"status": states.PENDING, "result": None}
            self._job = record.id
            meta = self._of(record)
            if record.state not in ENDED:
                return meta
            self._cache = meta
        return self._cache

    def _get_task_meta(self) -> dict[str, Any]:
        return self._meta()

    def _of(self, record: Record) -> dict[str, Any]:
        status = states.OF_JOB[record.state]
        meta: dict[str, Any] = {"task_id": self.id, "status": status, "result": None, "traceback": None, "children": [], "date_done": None}
        if record.finished is not None:
            meta["date_done"] = datetime.fromtimestamp(record.finished, timezone.utc)
        if record.state == "succeeded":
            value: Any = None if record.value is None else decode(record.value)
            marked = isinstance(value, dict) and MARK in value
            meta.update({"status": value[MARK], "result": value.get("meta")} if marked else {"result": value})
        elif record.state in ("dead", "cancelled", "expired"):
            error = decode_error(record.error)
            meta["result"] = exception_of(record, error, self.app.native.known_errors())
            meta["traceback"] = error.traceback if error is not None and record.state == "dead" else None
        elif record.state == "running" and record.progress is not None:
            said = decode(record.progress)
            meta.update({"status": said[MARK], "result": said.get("meta")} if isinstance(said, dict) and MARK in said else {"result": said})
        elif record.attempts > 0 or record.id != self.id:
            meta.update(status=states.RETRY, result=self._last_retry())
        return meta

    def _last_retry(self) -> BaseException | None:
        view = self.app.native.browse().job(self._job)
        last = next((h for h in reversed(view.history) if h.event == "retry"), None) if view is not None else None
        error = decode_error(last.detail) if last is not None else None
        return None if error is None else Retry(error.message)

    # -- waiting ----------------------------------------------------------------------------------------------------------

    def get(
        self, timeout: float | None = None, propagate: bool = True, interval: float = 0.5, no_ack: bool = True, follow_parents: bool = True,
        callback: Callable[..., Any] | None = None, on_message: Any = None, on_interval: Any = None, disable_sync_subtasks: bool = True,
        EXCEPTION_STATES: Any = states.EXCEPTION_STATES, PROPAGATE_STATES: Any = states.PROPAGATE_STATES,
    ) -> Any:  # fmt: skip
        """The value, waiting for it up to `timeout` seconds (None: as long as it takes).

        Raises the task's exception (`propagate=False` answers it), or `TimeoutError`. Inside of a task it raises `RuntimeError`.
        """
        if self.ignored:
            return None
        if disable_sync_subtasks:
            assert_will_not_block()
        if follow_parents and propagate and self.parent is not None:
            for node in reversed(list(self._parents())):
                node.maybe_throw()
        meta = self._meta()
        if meta["status"] not in states.READY_STATES and self._cache is None:
            meta = self._wait(timeout, interval, on_interval)
        if on_message is not None:
            on_message(meta)
        if propagate:
            self.maybe_throw(callback=callback)
        elif callback is not None:
            callback(self.id, meta["result"])
        return meta["result"]

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """As `get`."""
        return self.get(*args, **kwargs)

    def _wait(self, timeout: float | None, interval: float, on_interval: Callable[[], None] | None) -> dict[str, Any]:
        end = time.monotonic() + (FOREVER if timeout is None else timeout)
        record = self._ended(end, interval, on_interval)
        while (later := moved_to(record)) is not None:
            self._job = later
            record = self._ended(end, interval, on_interval)
        self._cache = self._of(record)
        return self._cache

    def _ended(self, end: float, interval: float, on_interval: Callable[[], None] | None) -> Record:
        """What the job came to, waiting for it until the moment `end`."""
        native = self.app.native
        future = native.watch(self._job)
        try:
            while True:
                left = end - time.monotonic()
                try:
                    return future.result(max(0.0, left if on_interval is None else min(left, interval)))
                except builtins.TimeoutError as error:
                    if future.done():
                        raise
                    if time.monotonic() >= end:
                        raise TimeoutError("The operation timed out.") from error
                    if on_interval is not None:
                        on_interval()
        finally:
            native.unwatch(self._job, future)

    def maybe_throw(self, propagate: bool = True, callback: Callable[..., Any] | None = None) -> Any:
        """Raise the task's exception, if it has failed."""
        meta = self._meta()
        if meta["status"] in states.PROPAGATE_STATES and propagate:
            error = meta["result"]
            if not isinstance(error, BaseException):
                error = Exception(error)
            text = meta.get("traceback")
            if text and not getattr(error, "__notes__", None):
                error.add_note("The task's own traceback:\n" + text.rstrip())
            raise error
        if callback is not None:
            callback(self.id, meta["result"])
        return meta["result"]

    maybe_reraise = maybe_throw

    def then(self, callback: Callable[[Any], Any], on_error: Callable[[Any], Any] | None = None, weak: bool = False) -> Any:
        """Call this with the result once the task has ended; `on_error` instead when it has failed. On a thread of ours."""

        def ended(done: Any) -> None:
            later = moved_to(done.result())
            if later is not None:
                self._job = later
                self.app.native.watch(later).add_done_callback(ended)
                return
            self._cache = self._of(done.result())
            if self.failed() and on_error is not None:
                on_error(self)
            else:
                callback(self)

        self.app.native.watch(self._job).add_done_callback(ended)
        return callback

    def forget(self) -> None:
        """Delete the result."""
        self._cache = None
        self.app.native.forget(self._job, self.id)

    def revoke(
        self, connection: Any = None, terminate: bool = False, signal: Any = None, wait: bool = False, timeout: float | None = None
    ) -> None:
        """Do not run it. With `terminate` end it, too, when it runs."""
        self.app.control.revoke(self.id, connection=connection, terminate=terminate, signal=signal, reply=wait, timeout=timeout)

    def collect(self, intermediate: bool = False, **kwargs: Any) -> Iterator[tuple[Any, Any]]:
        yield self, self.get(**kwargs)

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        if not self.ready() and not intermediate:
            raise IncompleteStream
        yield None, self

    def get_leaf(self) -> Any:
        return self.get()

    def as_tuple(self) -> Any:
        return (self.id, self.parent and self.parent.as_tuple()), None

    def as_list(self) -> list[str]:
        return [self.id, *(self.parent.as_list() if self.parent is not None else [])]

    def _parents(self) -> Iterator[Any]:
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


class EagerResult(AsyncResult):
    """The result of a task that ran here and now."""

    def __init__(self, id: str, ret_value: Any, state: str, traceback: str | None = None, name: str | None = None) -> None:
        super().__init__(id)
        self._task_name = name
        self._cache = {"task_id": id, "result": ret_value, "status": state, "traceback": traceback, "date_done": None}

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"

    def ready(self) -> bool:
        return True

    def get(
        self, timeout: float | None = None, propagate: bool = True, *args: Any, disable_sync_subtasks: bool = True, **kwargs: Any
    ) -> Any:
        if disable_sync_subtasks:
            assert_will_not_block()
        meta = self._meta()
        if meta["status"] == states.SUCCESS:
            return meta["result"]
        if meta["status"] in states.PROPAGATE_STATES:
            if propagate:
                raise meta["result"] if isinstance(meta["result"], BaseException) else Exception(meta["result"])
            return meta["result"]
        return None

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        return self.get(*args, **kwargs)

    def then(self, callback: Callable[[Any], Any], on_error: Callable[[Any], Any] | None = None, weak: bool = False) -> Any:
        (on_error if self.failed() and on_error is not None else callback)(self)
        return callback

    def forget(self) -> None:
        """Nothing is kept of it."""

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        assert self._cache is not None
        self._cache["status"] = states.REVOKED

    def _meta(self) -> dict[str, Any]:
        assert self._cache is not None
        return self._cache

    @property
    def supports_native_join(self) -> bool:
        return False


def result_from_tuple(value: Any, app: Celery | None = None) -> Any:
    """The other way round of `as_tuple`."""
    app = app_or_default(app)
    if isinstance(value, ResultBase):
        return value
    head, nodes = value
    task_id, parent = head if isinstance(head, (list, tuple)) else (head, None)
    above = result_from_tuple(parent, app) if parent else None
    if nodes is not None:
        return app.GroupResult(task_id, [result_from_tuple(n, app) for n in nodes], parent=above)
    return app.AsyncResult(task_id, parent=above)
