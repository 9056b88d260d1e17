"""Which app is meant where none is named, and which tasks run here.

`current_app` is the app that `set_current` named in this thread, else the one that was made last, else a default one. (In Celery the
app that was made last is only known in the thread that made it; a web server's other threads then meet an app without settings.)
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from tidewheel.celery.local import Proxy

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery
    from tidewheel.celery.app.request import Context
    from tidewheel.celery.app.task import Task

__all__ = ["app_or_default", "current_app", "current_task", "get_current_app", "get_current_task", "get_current_worker_task"]

default_app: Celery | None = None


class _Thread(threading.local):
    app: Celery | None = None


_thread = _Thread()
_last: Celery | None = None
_fallback: Celery | None = None
_apps: weakref.WeakSet[Celery] = weakref.WeakSet()
_shared: list[Callable[[Any], Any]] = []
_lock = threading.RLock()


def register_app(app: Celery) -> None:
    _apps.add(app)


def deregister_app(app: Celery) -> None:
    global _last
    _apps.discard(app)
    if _last is app:
        _last = None
    if _thread.app is app:
        _thread.app = None


def set_default_app(app: Celery | None) -> None:
    global default_app
    default_app = app


def made(app: Celery) -> None:
    """The app was made last, and wants to be the current one."""
    global _last
    _last = app
    _thread.app = app


def set_current_app(app: Celery | None) -> None:
    _thread.app = app


def get_current_app() -> Celery:
    """The current app; one without settings is made when there is none."""
    global _fallback
    found = _thread.app or default_app or _last or _fallback
    if found is None:
        from tidewheel.celery.app.application import Celery

        with _lock:
            if _fallback is None:
                _fallback = Celery("default", set_as_current=False)
            found = _fallback
    return found


def app_or_default(app: Celery | None = None) -> Celery:
    """This app, or the current one."""
    return get_current_app() if app is None else app


def share(register: Callable[[Any], Any]) -> None:
    """Call this with every app: those that are finalized now, the others when they are."""
    with _lock:
        _shared.append(register)
        ready = [app for app in _apps if app.finalized]
    for app in ready:
        register(app)


def shared() -> list[Callable[[Any], Any]]:
    with _lock:
        return list(_shared)


# -- the tasks that run here, innermost last ----------------------------------------------------------------------------

Running = tuple[tuple["Task", "Context"], ...]
_running: ContextVar[Running] = ContextVar("tidewheel_celery_running", default=())


def running() -> Running:
    return _running.get()


@contextmanager
def pushed(task: Task, request: Context) -> Iterator[None]:
    """While the block lasts, this task is the current one."""
    token = _running.set((*_running.get(), (task, request)))
    try:
        yield
    finally:
        _running.reset(token)


def get_current_task() -> Task | None:
    """The task that runs here, also when it was called as a function; None when there is none."""
    stack = _running.get()
    return stack[-1][0] if stack else None


def get_current_worker_task() -> Task | None:
    """The task that a worker (or `apply`) runs here, whatever it has called since."""
    return next((task for task, request in _running.get() if not request.called_directly), None)


current_app = cast("Celery", Proxy(get_current_app))
current_task = cast(Any, Proxy(get_current_task))

_joins: ContextVar[bool] = ContextVar("tidewheel_celery_joins", default=False)


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Inside of the block a task may wait for the result of another one."""
    token = _joins.set(True)
    try:
        yield
    finally:
        _joins.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    token = _joins.set(False)
    try:
        yield
    finally:
        _joins.reset(token)


def task_join_will_block() -> bool:
    """Whether waiting for a result here would hold up a worker."""
    return not _joins.get() and any(not r.called_directly and not r.is_eager for _, r in _running.get())


def assert_will_not_block() -> None:
    """Raise `RuntimeError` inside of a task: the worker's slot that it would hold may be the one that the other task needs."""
    if task_join_will_block():
        raise RuntimeError(
            "result.get() inside of a task holds a worker up until another task has ended, which may never begin. Let the other task "
            "go on with the work (link=), or say allow_join_result()"
        )
