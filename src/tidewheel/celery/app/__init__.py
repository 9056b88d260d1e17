"""What code written for Celery takes from `celery.app`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidewheel.celery import _state
from tidewheel.celery._state import app_or_default, current_app
from tidewheel.celery.app.application import Celery
from tidewheel.celery.local import Proxy

__all__ = ["Celery", "app_or_default", "current_app", "default_app", "shared_task"]

default_app = current_app


def shared_task(*args: Any, **kwargs: Any) -> Any:
    """A task of every app: what it makes is the task of the app that is current when it is used."""

    def make(function: Callable[..., Any], **options: Any) -> Any:
        name = options.get("name")
        options.pop("shared", None)
        options.pop("lazy", None)
        _state.share(lambda app: app._task_from_fun(function, **options))

        def task() -> Any:
            app = _state.get_current_app()
            return app.tasks[name or app.gen_task_name(function.__name__, function.__module__)]

        return Proxy(task)

    if len(args) == 1 and callable(args[0]):
        return make(args[0], **kwargs)
    return lambda function: make(function, **kwargs)
