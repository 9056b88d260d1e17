"""The exception that a failed task's result raises."""

from __future__ import annotations

import sys
import types
from typing import Any

from tidewheel.celery.exceptions import NotRegistered, TaskRevokedError, TimeLimitExceeded, WorkerLostError
from tidewheel.contract import Record
from tidewheel.errors import ErrorRecord
from tidewheel.wire.failures import rebuild

__all__ = ["exception_of"]


def exception_of(record: Record, error: ErrorRecord | None, known: Any) -> BaseException:
    """The exception that a job ended with.

    As in Celery it is of the task's own class, where a module that this process has imported has an exception of that name; else of a
    class of that name that is made for it. Nothing is ever imported for its sake.
    """
    if record.state == "cancelled":
        return TaskRevokedError("revoked")
    if record.state == "expired":
        return TaskRevokedError("expired")
    message = error.message if error is not None else "no error was recorded"
    for reason, kind in (("time limit", TimeLimitExceeded), ("poison", WorkerLostError), ("unknown task", NotRegistered)):
        if record.reason == reason:
            return kind(message)
    if record.reason in ("bad arguments", "undecodable") or error is None:
        return (TypeError if record.reason == "bad arguments" else ValueError)(message)
    found = rebuild(error, known)
    if found is not None:
        return found
    module, _, name = error.type.rpartition(".")
    kind_ = _imported(module, name)
    try:
        return kind_(*error.args) if error.args is not None else kind_(error.message)
    except Exception:  # an unusual constructor
        return _made(module, name)(error.message)


def _imported(module: str, name: str) -> type[BaseException]:
    # Not getattr: a module may answer to any name, by importing something (PEP 562), and this name came with a message.
    found = getattr(sys.modules.get(module), "__dict__", {}).get(name)
    return found if isinstance(found, type) and issubclass(found, Exception) else _made(module, name)


def _made(module: str, name: str) -> type[Exception]:
    return types.new_class(name or "Exception", (Exception,), {}, lambda body: body.update(__module__=module or "builtins"))
