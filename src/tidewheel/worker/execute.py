"""One delivery, from bytes to `Outcome`: a list of named steps.

    look up → decode → bind and convert → (middleware → call → middleware) → encode → decide

An `Execution` is one run. Pools call `call` or `acall` where the function shall run, and then `outcome`. Whatever user code does, it
ends in exactly one `Ending`; nothing that it raises leaves this module.
"""

from __future__ import annotations

import inspect
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tidewheel import events
from tidewheel.context import CancelFlag, Context, _current
from tidewheel.contract import Settlement
from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.options import Options, class_names, effective
from tidewheel.core.outcome import (
    AnyEnding,
    AnyOutcome,
    AskedAbort,
    AskedRetry,
    AskedSnooze,
    BadArguments,
    Counters,
    Dead,
    Interrupted,
    Lost,
    OverTime,
    Raised,
    Returned,
    Stopped,
    Succeeded,
    Undecodable,
    UnknownTask,
    decide,
)
from tidewheel.errors import Abort, BrokerError, ErrorRecord, HardTimeLimit, InvalidArguments, RetryIn, Snooze
from tidewheel.errors import Cancelled as CancelledInTask
from tidewheel.middleware import CallNext, Job, around_async, around_sync
from tidewheel.task import OVERRIDES, Task
from tidewheel.wire.call import decode_call
from tidewheel.wire.failures import encode_error
from tidewheel.wire.values import NotEncodable, encode
from tidewheel.worker.frames import Key, Why
from tidewheel.worker.transacting import ClaimLost, Transaction

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

log = logging.getLogger("tidewheel.executor")


class Kitchen:
    """What every run in this executor shares: the app's tasks with their composed middleware, and its listeners."""

    def __init__(self, app: Tidewheel) -> None:
        self.app = app
        self.emitter = app.events
        self.result_limit = app.result_limit
        self._ready: dict[str, tuple[Task[..., Any], CallNext, bool]] = {}

    def recipe(self, name: str) -> tuple[Task[..., Any], CallNext, bool] | None:
        """The task, its call inside the middleware, and whether that answers an awaitable; None for an unknown name."""
        found = self._ready.get(name)
        if found is None:
            task = self.app.tasks.get(name)
            if task is None:
                return None
            found = self._ready[name] = (task, *_compose(task, self.app.middleware))
        return found


def _compose(task: Task[..., Any], layers: list[Any]) -> tuple[CallNext, bool]:
    function = task.function

    def call(job: Job) -> Any:
        if task.takes_context:
            return function(_current.get(), *job.args, **job.kwargs)
        return function(*job.args, **job.kwargs)

    if inspect.iscoroutinefunction(function):
        return around_async(layers, call), True
    return around_sync(layers, call)


class Execution:
    """One run of one delivery."""

    __slots__ = (
        "_began", "_call", "_kitchen", "_options", "_task", "_transaction", "cancel", "context", "delivery", "duration", "ending",
        "is_async", "job", "key", "why", "written",
    )  # fmt: skip

    def __init__(self, kitchen: Kitchen, delivery: Delivery, report: Callable[[Key, bytes], None]) -> None:
        self.delivery = delivery
        self.key: Key = (delivery.envelope.id, delivery.token.claim)
        self.ending: AnyEnding | None = None
        self.why: Why | None = None
        """Why it was interrupted, once it was."""
        self.cancel = CancelFlag()
        self.duration = 0.0
        self.written = False
        """The outcome is with the broker already, by the task's own transaction."""
        self._kitchen = kitchen
        self._began = time.perf_counter()
        self.is_async = False
        self._options = Options()
        self._prepare(kitchen, delivery, report)

    def _prepare(self, kitchen: Kitchen, delivery: Delivery, report: Callable[[Key, bytes], None]) -> None:
        envelope = delivery.envelope
        recipe = kitchen.recipe(envelope.task)
        if recipe is None:
            text = f"no task {envelope.task!r} in this worker's app; it has: {', '.join(sorted(kitchen.app.tasks)[:20]) or 'none'}"
            error = ErrorRecord(type="tidewheel.errors.ConfigurationError", message=text)
            self.ending = UnknownTask(max(0.0, time.time() - delivery.published), encode_error(error))
            return
        self._task, self._call, self.is_async = recipe
        try:
            self._options = effective(self._task.declared, envelope.headers.get(OVERRIDES)) if envelope.headers else self._task.declared
            args, kwargs = decode_call(envelope.body)
        except NotImplementedError as error:  # a newer version than ours: another worker may read it
            record = ErrorRecord(type="NotImplementedError", message=str(error))
            self.ending = UnknownTask(max(0.0, time.time() - delivery.published), encode_error(record))
            return
        except ValueError as error:
            self.ending = Undecodable(encode_error(ErrorRecord(type="ValueError", message=str(error))))
            return
        try:
            bound_args, bound_kwargs = self._task.bind(args, kwargs)
        except InvalidArguments as error:
            self.ending = BadArguments(encode_error(ErrorRecord(type="tidewheel.errors.InvalidArguments", message=str(error))))
            return
        except Exception as error:  # a user type's own conversion failed in its own way
            self.ending = BadArguments(encode_error(error))
            return
        self.job = Job(
            id=envelope.id, task=envelope.task, args=bound_args, kwargs=bound_kwargs, queue=envelope.queue, priority=envelope.priority,
            attempt=delivery.attempt, max_attempts=self._options.retry.attempts, deliveries=delivery.deliveries,
            published=delivery.published, headers=envelope.headers,
        )  # fmt: skip
        key = self.key
        self._transaction = Transaction(kitchen.app, is_async=self.is_async)
        self.context = Context(self.job, report=lambda data: report(key, data), cancel=self.cancel, transacting=self._transaction)
        if kitchen.emitter.wants(events.JobStarted):
            waited = max(0.0, time.time() - (envelope.due if envelope.due is not None else delivery.published))
            started = events.JobStarted(id=envelope.id, task=envelope.task, queue=envelope.queue, attempt=delivery.attempt, waited=waited)
            kitchen.emitter.emit(started)

    # -- where the function runs --------------------------------------------------------------------------------------

    def call(self, drive: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Run it on this thread. `drive` runs the coroutine of an `async def` task to its end."""
        if self.ending is not None:
            return
        token = _current.set(self.context)
        try:
            value = drive(self._awaited()) if self.is_async else self._call(self.job)
            ending = self._value(value)
            if self._transaction.is_open:
                ending = self._commit(ending)
            self.ending = ending
        except BaseException as error:
            self._transaction.roll_back(error)
            cut = self._transaction.cut
            self.ending = Lost(encode_error(cut)) if cut is not None and isinstance(error, Exception) else self._raised(error)
        finally:
            _current.reset(token)

    async def acall(self) -> None:
        """Run an `async def` task in the running event loop."""
        if self.ending is not None:
            return
        token = _current.set(self.context)
        try:
            self.ending = self._value(await self._awaited())
        except GeneratorExit:  # the loop is being closed under us
            raise
        except BaseException as error:
            self.ending = self._raised(error)
        finally:
            _current.reset(token)

    async def _awaited(self) -> Any:
        answer: Awaitable[Any] = self._call(self.job)
        return await answer

    def _commit(self, ending: AnyEnding) -> AnyEnding:
        """Commit the task's transaction with its outcome. Where that fails without the task's fault it has not run."""
        outcome = self._decided(ending)
        delivery = self.delivery
        try:
            self._transaction.commit(Settlement(delivery.envelope.id, delivery.token, outcome, self.follow_ups(outcome)))
        except (BrokerError, ClaimLost) as error:
            # Whether a commit whose answer was lost took place, the fence will tell: then this is refused.
            log.warning("the transaction of %s[%s] was not committed: %s", self.job.task, self.job.id, error)
            return Lost(encode_error(error))
        self.written = True
        return ending

    # -- what it means ------------------------------------------------------------------------------------------------

    def _value(self, value: Any) -> AnyEnding:
        if value is None or self._options.result_ttl == 0:
            return Returned(None)
        # A result that cannot be kept does not make a done job undone: it is never run again because of its result.
        try:
            data = encode(value)
        except NotEncodable as error:
            log.warning("the result of %s[%s] is not kept: %s%s: %s", self.job.task, self.job.id, "result", error.path, error)
            return Returned(None)
        if len(data) > self._kitchen.result_limit:
            limit = self._kitchen.result_limit
            log.warning("the result of %s[%s] is not kept: %d bytes, the limit is %d", self.job.task, self.job.id, len(data), limit)
            return Returned(None)
        return Returned(data)

    def _raised(self, error: BaseException) -> AnyEnding:
        if isinstance(error, CancelledInTask) or _is_async_cancellation(error):
            if self.why == "interrupt":
                return Interrupted()
            if self.why == "hard":
                return OverTime(self._over_time())
            if self.why == "cancel" or isinstance(error, CancelledInTask):
                return Stopped()
        if isinstance(error, HardTimeLimit):
            return OverTime(self._over_time())
        if isinstance(error, RetryIn):
            return AskedRetry(max(0.0, error.delay), encode_error(error))
        if isinstance(error, Snooze):
            return AskedSnooze(max(0.0, error.delay))
        if isinstance(error, Abort):
            return AskedAbort(encode_error(error.__cause__ or error))
        return Raised(encode_error(error), class_names(type(error)))

    def _over_time(self) -> bytes:
        limit = self._options.time_limit
        text = f"ran longer than its time limit of {limit:g} s" if limit is not None else "ran longer than the worker's time limit"
        return encode_error(ErrorRecord(type="tidewheel.errors.HardTimeLimit", message=text))

    def escaped(self, error: BaseException) -> None:
        """An interruption struck outside of the call's own net: before it began, or after its ending was known (then that stands)."""
        if self.ending is None:
            self.ending = self._raised(error)

    def outcome(self) -> AnyOutcome:
        """Decide. Called once, after the run."""
        self.duration = time.perf_counter() - self._began
        if self.ending is None:
            self.ending = Interrupted()
        return self._decided(self.ending)

    def _decided(self, ending: AnyEnding) -> AnyOutcome:
        delivery = self.delivery
        counters = Counters(delivery.attempts, delivery.strikes, delivery.losses)
        return decide(
            ending, counters, self._options.retry, ttl=self._options.result_ttl, cancelled=self.cancel.is_set(), dice=random.random()
        )

    def follow_ups(self, outcome: AnyOutcome) -> tuple[Envelope, ...]:
        """The jobs that the run wants stored with this outcome."""
        wanted = self.context.follow_ups if hasattr(self, "context") else None
        if not wanted:
            return ()
        after = "success" if isinstance(outcome, Succeeded) else "failure" if isinstance(outcome, Dead) else None
        return tuple(envelope for when, envelope in wanted if when == after)


def _is_async_cancellation(error: BaseException) -> bool:
    if isinstance(error, Exception):
        return False
    import asyncio  # not at the top: who has only `def` tasks never pays for it

    return isinstance(error, asyncio.CancelledError)
