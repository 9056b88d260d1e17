"""Round each job what Django does round each request: no run meets a database connection that is broken or too old.

Connections belong to a thread (in the pools of greenlets: to a greenlet). Those of a `def` task are its own thread's; an `async def`
task has Django's asynchronous calls made on the thread that asgiref keeps for that. The settings CONN_MAX_AGE and
CONN_HEALTH_CHECKS decide as they do in a site, and inside of `atomic` nothing is closed.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache import close_caches
from django.db import connections, reset_queries
from django.db.backends.signals import connection_created

from tidewheel.middleware import CallNext, Job

_used = False
"""Whether this process has ever had a connection. Jobs that use no database pay nothing."""


def _on_connection(**_: Any) -> None:
    global _used
    _used = True


connection_created.connect(_on_connection, dispatch_uid="tidewheel")


def fresh_connections(job: Job, call_next: CallNext) -> Any:
    """Middleware, for both kinds of tasks."""
    _begin()
    try:
        answer = call_next(job)
    finally:
        _end()
    return _around(answer) if inspect.isawaitable(answer) else answer


async def _around(answer: Awaitable[Any]) -> Any:
    if _used:
        await sync_to_async(_begin)()
    try:
        return await answer
    finally:
        if _used:
            await sync_to_async(_end)(lasting=True)


def _begin() -> None:
    if _used and not _in_a_loop():
        reset_queries()
        _close_old()


def _end(*, lasting: bool = False) -> None:
    """`lasting`: this thread is asgiref's, also where threads are greenlets."""
    if _in_a_loop():
        return
    if _used:
        if lasting or not _in_a_greenlet():
            _close_old()
        else:
            close_all()
    close_caches()


def close_all() -> None:
    """Close every connection of this thread, except inside of `atomic`."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _close_old() -> None:
    """As Django's `close_old_connections`, which takes a connection inside of `atomic` for one that was left in disorder, and closes it."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _in_a_loop() -> bool:
    """On the thread of an event loop Django refuses to touch a connection. Those of `def` tasks on it are looked after at the next one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_a_greenlet() -> bool:
    """Then what is local to this "thread" ends with the job: a connection that was kept for the next one would only leak."""
    greenlet = sys.modules.get("greenlet")
    return greenlet is not None and greenlet.getcurrent().parent is not None
