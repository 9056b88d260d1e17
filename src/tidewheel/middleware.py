"""The onion round a run: functions with one signature, `(job, call_next)`.

    def timed(job: Job, call_next: CallNext) -> Any:
        with timer(job.task):
            return call_next(job)

A plain function wraps `def` tasks; round an `async def` task, `call_next(job)` answers an awaitable, so what must wrap both kinds is
an `async def` middleware that awaits it. The first in the list is the outermost. Retries, limits and results are not middleware.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["CallNext", "Job", "Middleware", "around_async", "around_sync"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a task, as middleware and `app.publish_many` see it."""

    id: str
    task: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    queue: str = ""
    priority: int = 0
    attempt: int = 1
    max_attempts: int = 1
    deliveries: int = 1
    """How often it has been handed to a worker, this time included: more than `attempt` when one died with it."""
    published: float = 0.0
    headers: Mapping[str, str] = {}


CallNext = Callable[[Job], Any]
Middleware = Callable[[Job, CallNext], Any]


def around_sync(layers: Sequence[Middleware], call: CallNext) -> tuple[CallNext, bool]:
    """The composed call for a `def` task, and whether it answers an awaitable because a layer is `async def`."""
    if not any(inspect.iscoroutinefunction(layer) for layer in layers):
        return _compose(layers, call), False

    async def innermost(job: Job) -> Any:
        return call(job)

    return around_async(layers, innermost), True


def around_async(layers: Sequence[Middleware], call: Callable[[Job], Awaitable[Any]]) -> Callable[[Job], Awaitable[Any]]:
    """The composed call for an `async def` task."""
    return _compose(layers, call)


def _compose(layers: Sequence[Middleware], call: CallNext) -> CallNext:
    for layer in reversed(layers):
        call = _bind(layer, call)
    return call


def _bind(layer: Middleware, inner: CallNext) -> CallNext:
    return lambda job: layer(job, inner)
