"""One run of a task, in Celery's order of things: signals, hooks, the function, its end, hooks, signals.

    ending of the function            state       what becomes of the job
    ----------------------            -----       -----------------------
    returned                          SUCCESS     succeeded; its link= callbacks are published in the same step
    self.retry() was called           RETRY       again, after its countdown (RetryIn); with other arguments it goes on as another
                                                  job, published in the same step (moved.py)
    raised Ignore                     IGNORED     succeeded, with the state that update_state said last
    raised Reject                     REJECTED    dead, or again with requeue=True
    cancelled while it ran            REVOKED     cancelled
    raised anything else              FAILURE     dead; its link_error= callbacks are published in the same step

Retries are decided here, as Celery does it, and not by the policy of the native task, which has none. Hooks and callbacks run before
the outcome is written: who looks meanwhile sees STARTED.
"""

from __future__ import annotations

import inspect
import logging
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from tidewheel.celery import signals, states
from tidewheel.celery._state import _running, running
from tidewheel.celery.app.moved import next_call
from tidewheel.celery.app.request import MARK, MOVED, Context, hostname, of_job
from tidewheel.celery.app.task import Task
from tidewheel.celery.canvas import Signature, maybe_signature
from tidewheel.celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded
from tidewheel.context import Context as NativeContext
from tidewheel.core.options import effective
from tidewheel.errors import Abort, Cancelled, HardTimeLimit, RetryIn, Snooze
from tidewheel.task import OVERRIDES

__all__ = ["ExceptionInfo", "Run", "apply_eagerly", "job_function"]

log = logging.getLogger("tidewheel.celery")

REQUEUE_DELAY = 1.0
"""Seconds after which a job comes back that was rejected with `requeue=True`: at once, it would be a loop without rest."""


class ExceptionInfo:
    """An exception, its traceback, and that as text."""

    def __init__(self, error: BaseException) -> None:
        self.exception = error
        self.type = type(error)
        self.tb: TracebackType | None = error.__traceback__
        self.traceback = "".join(traceback.format_exception(error))
        self.internal = False

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"


class Run:
    """From `begin` to `leave`; between them exactly one of `returned` and `raised`."""

    def __init__(self, task: Task, request: Context) -> None:
        self.task = task
        self.request = request
        self.state = states.SUCCESS
        self.retval: Any = None
        self.einfo: ExceptionInfo | None = None
        self.args = tuple(request.args)
        self.kwargs = dict(request.kwargs)
        custom = type(task).__call__ is not Task.__call__
        self.function: Callable[..., Any] = task if custom else task.run

    def begin(self) -> None:
        self._token = _running.set((*running(), (self.task, self.request)))
        if self.request.native is not None:
            signals.task_received.send(sender=self.task, request=self.request)
        signals.task_prerun.send(sender=self.task, task_id=self.request.id, task=self.task, args=self.args, kwargs=self.kwargs)
        self._began = time.monotonic()
        self.task.before_start(self.request.id, self.args, self.kwargs)

    def leave(self) -> None:
        if self.state not in (states.IGNORED, states.REJECTED, states.RETRY):
            self._hook(self.task.after_return, self.state, self.retval, self.request.id, self.args, self.kwargs, self.einfo)
        signals.task_postrun.send(
            sender=self.task,
            task_id=self.request.id,
            task=self.task,
            args=self.args,
            kwargs=self.kwargs,
            retval=self.retval,
            state=self.state,
        )
        _running.reset(self._token)

    # -- how it ended -----------------------------------------------------------------------------------------------------

    def returned(self, value: Any) -> BaseException | None:
        """What is to be raised in its stead; None when the value stands."""
        asked = self.request.__dict__.get("_retry")
        if asked is not None:
            return self._retried(asked)
        self.state, self.retval = states.SUCCESS, value
        for callback in self.request.callbacks or ():
            self._follow(maybe_signature(callback, self.task.app), (value,), "success")
        self._hook(self.task.on_success, value, self.request.id, self.args, self.kwargs)
        signals.task_success.send(sender=self.task, result=value, runtime=time.monotonic() - self._began)
        return None

    def raised(self, error: BaseException) -> BaseException | None:
        """What is to be raised in its stead (often the same); None when it ended without a failure."""
        asked = self.request.__dict__.get("_retry")
        if isinstance(error, Retry) and asked is None:
            asked = error  # raised by hand
        if asked is not None and isinstance(error, Exception):
            return self._retried(asked)
        if isinstance(error, Ignore):
            self.state, self.retval = states.IGNORED, None
            said = self.request.__dict__.get("_said") or (states.IGNORED, None)
            self.retval = {MARK: said[0], "meta": _storable(said[1])} if self.request.native is not None else error
            return None
        if isinstance(error, Reject):
            self.state, self.retval = states.REJECTED, error
            signals.task_rejected.send(sender=self.task, message=self.request, exc=error)
            return Snooze(REQUEUE_DELAY, str(error.reason or "")) if error.requeue else Abort(str(error.reason or "rejected"))
        if isinstance(error, (RetryIn, Snooze)):  # Tidewheel's own way to say it
            self.state, self.retval = states.RETRY, error
            return error
        native = self.request.native
        if native is not None and native.cancelled and not isinstance(error, Exception):
            self.state, self.retval = states.REVOKED, error
            signals.task_revoked.send(sender=self.task, request=self.request, terminated=True, signum="SIGTERM", expired=False)
            return error
        if isinstance(error, Cancelled) or _is_async_cancellation(error):
            self.state, self.retval = states.RETRY, error  # cut short because the worker stops: it will begin anew elsewhere
            return error
        self._failed(TimeLimitExceeded("the hard time limit") if isinstance(error, HardTimeLimit) else error)
        return error

    def _retried(self, asked: Retry) -> BaseException | None:
        self.state, self.retval = states.RETRY, asked
        self.einfo = ExceptionInfo(asked)
        reason = asked.exc if asked.exc is not None else asked
        self._hook(self.task.on_retry, reason, self.request.id, self.args, self.kwargs, self.einfo)
        signals.task_retry.send(sender=self.task, request=self.request, reason=asked, einfo=self.einfo)
        if self.request.native is None:
            return asked
        delay = _seconds(asked.when, self.task)
        if asked.sig is not None:
            call = next_call(self.task, asked, delay)
            self.request.native.follow(call)
            self.retval = {MOVED: call.id}
            return None
        text = f"{type(reason).__name__}: {reason}" if isinstance(reason, BaseException) and reason is not asked else str(asked)
        again = RetryIn(delay, text)
        again.__cause__ = asked.exc if isinstance(asked.exc, BaseException) else None
        return again

    def _failed(self, error: BaseException) -> None:
        self.state, self.retval = states.FAILURE, error
        self.einfo = einfo = ExceptionInfo(error)
        for errback in self.request.errbacks or ():
            self._errback(maybe_signature(errback, self.task.app), error, einfo)
        self._hook(self.task.on_failure, error, self.request.id, self.args, self.kwargs, einfo)
        signals.task_failure.send(
            sender=self.task, task_id=self.request.id, exception=error, args=self.args, kwargs=self.kwargs, traceback=einfo.tb, einfo=einfo
        )

    # -- what follows -----------------------------------------------------------------------------------------------------

    def _follow(self, signature: Signature, args: tuple[Any, ...], after: Any) -> None:
        """Publish a callback: with the outcome of the run, in one atomic step; run it at once where this run is no worker's."""
        if self.request.native is None:
            self._hook(signature.apply_async, args, root_id=self.request.root_id, parent_id=self.request.id)
            return
        try:
            call = signature.prepared(args, root_id=self.request.root_id, parent_id=self.request.id)
        except Exception as error:
            self._broken(f"callback {signature!r}", error)
            return
        self.request.native.follow(call, after=after)

    def _errback(self, signature: Signature, error: BaseException, einfo: ExceptionInfo) -> None:
        """An errback that takes a request, an exception and a traceback is called here: none of the three can be sent. Others are sent."""
        task = self.task.app.tasks.get(signature["task"])
        if task is not None and not signature.immutable and _takes(task, 3 + len(signature.args)):
            self._hook(task, self.request, error, einfo.traceback, *signature.args, **signature.kwargs)
        else:
            self._follow(signature, (self.request.id,), "failure")

    def _hook(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """What it raises does not change how the task ended."""
        try:
            function(*args, **kwargs)
        except Exception as error:
            self._broken(getattr(function, "__qualname__", repr(function)), error)

    def _broken(self, what: str, error: Exception) -> None:
        log.exception("%s[%s]: %s raised", self.task.name, self.request.id, what)
        signals.task_internal_error.send(
            sender=self.task, task_id=self.request.id, args=self.args, kwargs=self.kwargs, request=self.request, exception=error,
            traceback=error.__traceback__, einfo=ExceptionInfo(error),
        )  # fmt: skip


def _takes(task: Task, most: int) -> bool:
    """Whether the task's function can be called with as many arguments, and needs more than one."""
    parameters = list(task._signature.parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(places) > 1 and len(places) >= most


def _seconds(when: Any, task: Task) -> float:
    if isinstance(when, datetime):
        moment = when if when.tzinfo is not None else when.replace(tzinfo=task.app.timezone)
        return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
    return max(0.0, float(when or 0.0))


def _storable(value: Any) -> Any:
    return repr(value) if isinstance(value, BaseException) else value


def _is_async_cancellation(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


# -- in a worker ----------------------------------------------------------------------------------------------------------


def job_function(task: Task) -> Callable[..., Any]:
    """The function of the native task: it takes whatever arguments there are, unconverted, as Celery does."""

    def new_run(context: NativeContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        request = of_job(context, args, kwargs, lambda packed: Signature.from_dict(packed, app=task.app))
        limits = effective(task.app.native.tasks[task.name].declared, context.job.headers.get(OVERRIDES))
        request.timelimit = [limits.time_limit, limits.soft_time_limit]
        request.time_limit, request.soft_time_limit = request.timelimit
        return Run(task, request)

    if inspect.iscoroutinefunction(task._orig_run or task.run):

        async def awaited(context: NativeContext, *args: Any, **kwargs: Any) -> Any:
            run = new_run(context, args, kwargs)
            try:
                try:
                    run.begin()
                    answer = run.returned(await run.function(*args, **kwargs))
                except BaseException as error:
                    answer = run.raised(error)
                    if answer is error:
                        raise
                if answer is not None:
                    raise answer
                return run.retval
            finally:
                run.leave()

        return awaited

    def called(context: NativeContext, *args: Any, **kwargs: Any) -> Any:
        run = new_run(context, args, kwargs)
        try:
            try:
                run.begin()
                answer = run.returned(run.function(*args, **kwargs))
            except BaseException as error:
                answer = run.raised(error)
                if answer is error:
                    raise
            if answer is not None:
                raise answer
            return run.retval
        finally:
            run.leave()

    return called


# -- without one ------------------------------------------------------------------------------------------------------------


def apply_eagerly(
    task: Task, args: Any, kwargs: dict[str, Any], *, task_id: str, link: Any, link_error: Any, retries: int, throw: bool,
    headers: Any, options: dict[str, Any],
) -> Any:  # fmt: skip
    """Run it, and run it again at once as often as it asks for that; delays are not waited for."""
    from tidewheel.celery.canvas import listed
    from tidewheel.celery.result import EagerResult

    while True:
        request = Context(
            id=task_id, task=task.name, args=args, kwargs=kwargs, retries=retries, is_eager=True, called_directly=False,
            root_id=options.get("root_id") or task_id, parent_id=options.get("parent_id"), loglevel=0, hostname=hostname(),
            headers=dict(headers or {}), callbacks=listed(link), errbacks=listed(link_error), correlation_id=task_id,
            ignore_result=bool(options.get("ignore_result", False)),
            delivery_info={
                "is_eager": True, "exchange": options.get("exchange"), "routing_key": options.get("routing_key"),
                "priority": options.get("priority"),
            },
        )  # fmt: skip
        run = Run(task, request)
        answer: BaseException | None = None
        try:
            try:
                run.begin()
                value = run.function(*args, **kwargs)
                if inspect.isawaitable(value):
                    value = _awaited(value)
                answer = run.returned(value)
            except Exception as error:
                answer = run.raised(error)
        finally:
            run.leave()
        if run.state != states.RETRY or not isinstance(answer, Retry):
            break
        retries += 1
        if answer.sig is not None:
            args, kwargs = tuple(answer.sig["args"]), dict(answer.sig["kwargs"])
    if throw and run.state in states.PROPAGATE_STATES and isinstance(run.retval, BaseException):
        raise run.retval
    return EagerResult(task_id, run.retval, run.state, traceback=run.einfo.traceback if run.einfo is not None else None, name=task.name)


def _awaited(value: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())
