"""Celery's exceptions. Where Tidewheel has one that means the same, it is that one, so that both names catch it."""

from __future__ import annotations

import builtins
import numbers
from datetime import datetime
from typing import Any

from tidewheel.errors import BrokerError as OperationalError
from tidewheel.errors import ConfigurationError
from tidewheel.errors import InvalidArguments as EncodeError
from tidewheel.errors import SoftTimeLimit as SoftTimeLimitExceeded

__all__ = [
    "AlreadyRegistered", "BackendError", "BackendGetMetaError", "BackendStoreError", "CeleryError", "ChordError", "EncodeError", "Ignore",
    "ImproperlyConfigured", "IncompleteStream", "InvalidTaskError", "MaxRetriesExceededError", "NotRegistered", "NotSupported",
    "OperationalError", "QueueNotFound", "Reject", "Retry", "SecurityError", "SoftTimeLimitExceeded", "TaskError", "TaskPredicate",
    "TaskRevokedError", "Terminated", "TimeLimitExceeded", "TimeoutError", "WorkerLostError", "WorkerShutdown", "WorkerTerminate",
]  # fmt: skip


class CeleryError(Exception):
    """Whatever is raised under Celery's names."""


class NotSupported(CeleryError, NotImplementedError):
    """A part of Celery that is not here. The message names it, and what to do instead."""


class ImproperlyConfigured(CeleryError, ConfigurationError):
    """A setting, an option or a name is wrong."""


class SecurityError(CeleryError):
    pass


# -- what steers a task ------------------------------------------------------------------------------------------------


class TaskPredicate(CeleryError):
    """Not an error of the task, but what it wants to happen to it."""


class Retry(TaskPredicate):
    """The task will be run again. `when`: seconds, or the moment."""

    def __init__(
        self, message: str | None = None, exc: BaseException | str | None = None, when: Any = None, is_eager: bool = False,
        sig: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.message = message
        self.exc: BaseException | None = exc if isinstance(exc, BaseException) else None
        self.excs: str | None = repr(exc) if isinstance(exc, BaseException) else exc
        self.when = when
        self.is_eager = is_eager
        self.sig = sig
        super().__init__(message, self.exc, when, **kwargs)

    def humanize(self) -> str:
        if isinstance(self.when, numbers.Number):
            return f"in {self.when}s"
        return f"at {self.when.isoformat() if isinstance(self.when, datetime) else self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        return f"Retry {self.humanize()}" + (f": {self.excs}" if self.excs else "")


class Ignore(TaskPredicate):
    """The task is over, and its state stays what `update_state` said last."""


class Reject(TaskPredicate):
    """The task is put aside (into the dead letters), or with `requeue` run once more."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        self.reason = reason
        self.requeue = requeue
        super().__init__(reason, requeue)

    def __repr__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"


# -- errors ------------------------------------------------------------------------------------------------------------


class TaskError(CeleryError):
    """Something about a task went wrong."""


class QueueNotFound(KeyError, TaskError):
    """Routed to a queue that is not in `task_queues`."""


class NotRegistered(KeyError, TaskError):
    """No task has this name."""

    def __repr__(self) -> str:
        return f"no task of this name is registered: {self.args[0] if self.args else ''}"

    __str__ = __repr__


class AlreadyRegistered(TaskError):
    pass


class TimeoutError(TaskError, builtins.TimeoutError):
    """The task has not ended in time."""


class MaxRetriesExceededError(TaskError):
    """`self.retry()` was called once too often."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.task_args = kwargs.pop("task_args", [])
        self.task_kwargs = kwargs.pop("task_kwargs", {})
        super().__init__(*args, **kwargs)


class TaskRevokedError(TaskError):
    """The task was cancelled, or not started before it expired."""


class InvalidTaskError(TaskError):
    pass


class ChordError(TaskError):
    pass


class IncompleteStream(TaskError):
    pass


class BackendError(Exception):
    pass


class BackendGetMetaError(BackendError):
    pass


class BackendStoreError(BackendError):
    pass


class TimeLimitExceeded(Exception):
    """The task ran longer than its hard limit, and was ended."""


class WorkerLostError(Exception):
    """The process that ran the task died, and more often than is tolerated."""


class Terminated(Exception):
    """The task was ended by a signal."""


class WorkerTerminate(SystemExit):
    pass


class WorkerShutdown(SystemExit):
    pass
