"""`Task`: what `@app.task` makes of a function, and the class to derive from."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from tidewheel.celery._state import get_current_app, pushed, running
from tidewheel.celery.app.request import MARK, Context
from tidewheel.celery.exceptions import Ignore, MaxRetriesExceededError, NotSupported, Reject, Retry
from tidewheel.celery.utils import uuid

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery

__all__ = ["Context", "Task"]

EXECUTION = ("queue", "routing_key", "exchange", "priority", "expires", "time_limit", "soft_time_limit", "ignore_result")
"""Attributes of a task that are options of each of its calls."""
AS_BEFORE = frozenset({
    "serializer", "compression", "retry", "retry_policy", "connection", "producer", "publisher", "delivery_mode", "mandatory", "immediate",
    "add_to_parent",
})  # fmt: skip
"""Options of `self.retry` that change nothing."""


class FromSetting:
    """An attribute that is what a setting says, unless the task says otherwise."""

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def __get__(self, task: Task | None, owner: type[Task]) -> Any:
        return None if task is None else task.app.conf[self.setting]


class Task:
    """A task. There is one object of it in a process, which all its calls share."""

    name: Any = None
    typing: Any = None
    max_retries: int | None = 3
    default_retry_delay: float = 3 * 60
    rate_limit: Any = FromSetting("task_default_rate_limit")
    time_limit: Any = None
    soft_time_limit: Any = None
    expires: Any = None
    queue: Any = None
    routing_key: Any = None
    exchange: Any = None
    throws: tuple[type[BaseException], ...] = ()
    trail = True
    send_events = True
    autoregister = True
    abstract = False
    request_stack: Any = None
    resultrepr_maxsize = 1024
    serializer: Any = FromSetting("task_serializer")
    ignore_result: Any = FromSetting("task_ignore_result")
    priority: Any = FromSetting("task_default_priority")
    track_started: Any = FromSetting("task_track_started")
    acks_late: Any = FromSetting("task_acks_late")
    acks_on_failure_or_timeout: Any = FromSetting("task_acks_on_failure_or_timeout")
    reject_on_worker_lost: Any = FromSetting("task_reject_on_worker_lost")
    store_eager_result: Any = FromSetting("task_store_eager_result")
    store_errors_even_if_ignored: Any = FromSetting("task_store_errors_even_if_ignored")

    Request: Any = None
    MaxRetriesExceededError = MaxRetriesExceededError
    Strategy: Any = None

    _app: ClassVar[Any] = None
    _orig_run: Any = None
    __bound__ = False
    __wrapped__: Any

    # -- where it belongs -------------------------------------------------------------------------------------------------

    @property
    def app(self) -> Celery:
        found: Celery = type(self)._app or get_current_app()
        return found

    @classmethod
    def bind(cls, app: Celery) -> Celery:
        cls._app = app
        cls.on_bound(app)
        return app

    @classmethod
    def on_bound(cls, app: Celery) -> None:
        """Called when the class gets its app. For you to define."""

    @property
    def backend(self) -> Any:
        return self.app.backend

    @property
    def request(self) -> Any:
        """The call that runs now; where none does, an empty one."""
        for task, request in reversed(running()):
            if task is self:
                return request
        return self.__dict__.setdefault("_default_request", Context())

    @property
    def __name__(self) -> str:
        function = self.__dict__.get("_function") or type(self)
        return str(getattr(function, "__name__", type(self).__name__))

    def __repr__(self) -> str:
        return f"<@task: {self.name} of {self.app.main}>"

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return self is other

    # -- running ----------------------------------------------------------------------------------------------------------

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What the task does."""
        raise NotImplementedError(f"{type(self).__name__}: a task must define run()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        stack = running()
        if stack and stack[-1][0] is self and not stack[-1][1].called_directly and not stack[-1][1].__dict__.get("_entered"):
            # A subclass's own __call__ came here from the worker: it is still the same call.
            stack[-1][1].__dict__["_entered"] = True
            return self.run(*args, **kwargs)
        with pushed(self, Context(args=args, kwargs=kwargs)):
            return self.run(*args, **kwargs)

    def check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise `TypeError` for arguments that `run` does not take."""
        function = self.__dict__.get("_function") or self._orig_run or self.run
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{getattr(function, '__name__', self.name)}() {error}") from None

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        run = self._orig_run or self.run  # bound, so that `self` is no argument of the call
        return inspect.signature(run)

    # -- calling ----------------------------------------------------------------------------------------------------------

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Send the task, with these arguments. Answers an `AsyncResult`."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Any = None, kwargs: Any = None, task_id: str | None = None, producer: Any = None, link: Any = None,
        link_error: Any = None, shadow: str | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """Send the task. Raises `TypeError` in the caller for arguments that do not fit it (unless `typing=False`)."""
        args, kwargs = tuple(args or ()), dict(kwargs or {})
        app = self.app
        if self.typing:
            self.check_arguments(args, kwargs)
        options = {**self._execution_options(), **options}
        if app.conf["task_always_eager"]:
            return self.apply(list(args), kwargs, task_id=task_id or uuid(), link=link, link_error=link_error, shadow=shadow, **options)
        return app.send_task(
            self.name, args, kwargs, task_id=task_id, producer=producer, link=link, link_error=link_error, shadow=shadow, task_type=self,
            result_cls=self.AsyncResult, **options,
        )  # fmt: skip

    def _execution_options(self) -> dict[str, Any]:
        return {name: value for name in EXECUTION if (value := getattr(self, name)) is not None}

    def apply(
        self, args: Any = None, kwargs: Any = None, link: Any = None, link_error: Any = None, task_id: str | None = None, retries: int = 0,
        throw: bool | None = None, logfile: Any = None, loglevel: Any = None, headers: Any = None, **options: Any,
    ) -> Any:  # fmt: skip
        """Run the task here and now, as a worker would. Answers an `EagerResult`."""
        from tidewheel.celery.app.running import apply_eagerly

        if throw is None:
            throw = bool(self.app.conf["task_eager_propagates"])
        return apply_eagerly(
            self, args or (), dict(kwargs or {}), task_id=task_id or uuid(), link=link, link_error=link_error, retries=retries,
            throw=throw, headers=headers, options=options,
        )  # fmt: skip

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Send the task when Django's transaction has been committed; at once when there is none."""
        self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(self, *args: Any, **kwargs: Any) -> None:
        from django.db import transaction

        transaction.on_commit(functools.partial(self.apply_async, *args, **kwargs))

    def AsyncResult(self, task_id: str, **kwargs: Any) -> Any:
        return self.app.AsyncResult(task_id, task_name=self.name, **kwargs)

    # -- signatures -------------------------------------------------------------------------------------------------------

    def signature(self, args: Any = None, *more: Any, **options: Any) -> Any:
        options.setdefault("app", self.app)
        return self.app.signature(self, args, *more, **options)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Any:
        """A signature of this task: `add.s(2, 2)`."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Any:
        """One that takes no argument from the task before it."""
        return self.signature(args, kwargs, immutable=True)

    def chunks(self, it: Any, n: int) -> Any:
        raise NotSupported("Task.chunks is not there yet: publish one task for each slice of the list instead, in a loop")

    def map(self, it: Any) -> Any:
        raise NotSupported("Task.map is not there yet: call the task's function in a loop, or publish one task for each value")

    def starmap(self, it: Any) -> Any:
        raise NotSupported("Task.starmap is not there yet: call the task's function in a loop, or publish one task for each value")

    def replace(self, sig: Any) -> Any:
        raise NotSupported("self.replace() is not there yet: call the other task's function, or send it with link=")

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        raise NotSupported("self.add_to_chord() is not there yet, for there are no chords yet")

    # -- from inside of the task ------------------------------------------------------------------------------------------

    def retry(
        self, args: Any = None, kwargs: Any = None, exc: BaseException | None = None, throw: bool = True, eta: Any = None,
        countdown: float | None = None, max_retries: int | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """Run this task once more, `countdown` seconds (by default `default_retry_delay`) from now, under the same id; with other
        arguments, or other options of a call as `queue=`, where they are given.

        Raises `Retry` (with `throw=False` answers it), which ends this run; `exc`, or `MaxRetriesExceededError`, when that was the last
        one. Called in no worker it raises `exc`.
        """
        request = self.request
        if request.called_directly:
            _raise(exc or Retry("Task can be retried", None))
        if max_retries is not None:
            request.__dict__["_max_retries"] = max_retries
        most = self.max_retries if max_retries is None else max_retries
        if eta is None and countdown is None:
            countdown = self.default_retry_delay
        retries = request.retries + 1
        if most is not None and retries > most:
            if exc is not None:
                _raise(exc)
            raise self.MaxRetriesExceededError(
                f"Can't retry {self.name}[{request.id}] args:{request.args} kwargs:{request.kwargs}",
                task_args=request.args, task_kwargs=request.kwargs,
            )  # fmt: skip
        changed = self._changed(request, args, kwargs, options)
        asked = Retry(exc=exc, when=eta or countdown, is_eager=request.is_eager, sig=changed)
        if exc is not None and asked.__cause__ is None:
            asked.__cause__ = exc
        request.__dict__["_retry"] = asked
        if throw:
            raise asked
        return asked

    def _changed(self, request: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """A signature of the next run, where that is not simply this one once more: with other arguments, or in another queue."""
        more = {k: v for k, v in options.items() if v is not None and k not in AS_BEFORE}
        if request.delivery_info and getattr(more.get("queue"), "name", more.get("queue")) == request.delivery_info.get("routing_key"):
            more.pop("queue", None)
        next_args = list(request.args or ()) if args is None else list(args)
        next_kwargs = dict(request.kwargs or {}) if kwargs is None else dict(kwargs)
        if not more and next_args == list(request.args or ()) and next_kwargs == dict(request.kwargs or {}):
            return None
        return self.signature(next_args, next_kwargs, **more)

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None, **kwargs: Any) -> None:
        """Say how far this run is; `AsyncResult.state` and `.info` tell others. Kept with the job, and sent with the next beat."""
        request = self.request
        if task_id is not None and task_id != request.id:
            raise NotSupported("update_state() of another task's id: only the task that runs can say how far it is")
        if request.native is not None:
            request.native.progress({MARK: state, "meta": meta})
        request.__dict__["_said"] = (state, meta)

    def send_event(self, type_: str, retry: bool = True, retry_policy: Any = None, **fields: Any) -> Any:
        raise NotSupported("send_event(): there are no events of one's own; use update_state(), or a signal")

    def add_around(self, attr: str, around: Callable[..., Any]) -> None:
        original = getattr(self, attr)
        setattr(self, attr, around(original))

    def add_trail(self, result: Any) -> Any:
        if self.trail:
            self.request.children.append(result)
        return result

    def push_request(self, *args: Any, **kwargs: Any) -> None:
        """Make this the request that tests of the task's function see."""
        self.__dict__["_default_request"] = Context(*args, **kwargs)

    def pop_request(self) -> None:
        self.__dict__.pop("_default_request", None)

    # -- for you to define ------------------------------------------------------------------------------------------------

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called in the worker before the task runs."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called in the worker when the task has returned."""

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called in the worker when the task has failed, and will not be tried again."""

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called in the worker when the task is to be run again."""

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called in the worker at the end of each run."""

    # -- put together -----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """What is done once, when the task is registered: the retries of `autoretry_for` are put round `run`."""
        if self.typing is None:
            self.typing = self.app.strict_typing
        kinds = tuple(getattr(self, "autoretry_for", ()) or getattr(self, "retry_on", ()) or ())
        if kinds and self._orig_run is None:
            self._orig_run = self.run
            self.run = _autoretry(self, kinds)  # type: ignore[method-assign]


def _autoretry(task: Task, kinds: tuple[type[BaseException], ...]) -> Callable[..., Any]:
    """`run`, which asks for another run when it raises one of these."""
    run = task._orig_run
    never = tuple(getattr(task, "dont_autoretry_for", ()) or ())
    steering: tuple[type[BaseException], ...] = (Ignore, Retry, Reject)

    def again(error: BaseException) -> BaseException:
        given = dict(getattr(task, "retry_kwargs", None) or {})
        if "_max_retries" in task.request.__dict__:  # what an own call of self.retry() said, before it raised this error
            given["max_retries"] = task.request.__dict__["_max_retries"]
        backoff = getattr(task, "retry_backoff", False)
        if backoff:
            given["countdown"] = backoff_interval(
                factor=int(max(1.0, float(backoff))), retries=task.request.retries, maximum=int(getattr(task, "retry_backoff_max", 600)),
                full_jitter=bool(getattr(task, "retry_jitter", True)),
            )  # fmt: skip
        asked: BaseException = task.retry(exc=error, throw=False, **given)
        return asked

    if inspect.iscoroutinefunction(run):

        @functools.wraps(run)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            try:
                return await run(*args, **kwargs)
            except (*steering, *never):
                raise
            except kinds as error:
                raise again(error) from error

        return awaited

    @functools.wraps(run)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except (*steering, *never):
            raise
        except kinds as error:
            raise again(error) from error

    return called


def backoff_interval(factor: int, retries: int, maximum: int, full_jitter: bool = False) -> int:
    """Seconds before the next run: `factor · 2^retries`, at most `maximum`; with jitter, a random time up to that."""
    import random

    countdown = min(maximum, factor * 2 ** min(retries, 64))
    return random.randrange(countdown + 1) if full_jitter else countdown


def _raise(error: BaseException) -> None:
    """Raise it, as a consequence of the exception that is being handled (or as that exception itself)."""
    active = sys.exc_info()[1]
    if active is None:
        raise error
    if active is error:
        raise error
    raise error from active
