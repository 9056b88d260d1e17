"""Every error that Tidewheel raises, and the few exceptions that a task may raise to steer its own job.

    TidewheelError
     ├─ ConfigurationError        the app, a task or an option is put together wrongly; raised before any I/O
     │   ├─ MissingExtra          a driver is not installed; names the extra to install
     │   └─ MissingRole           this engine cannot do it; names the setting that can
     ├─ InvalidArguments          (also TypeError) arguments of a call do not fit the task or cannot be stored
     ├─ BrokerError               talking to the engine
     │   ├─ BrokerUnavailable     not reachable, or reachable and refusing: nothing was stored
     │   ├─ BrokerFull            no room (disk, memory): nothing was stored
     │   ├─ BrokerCorrupt         the store is not ours, damaged, or of a newer schema
     │   └─ PublishUnknown        the reply was lost: the job may be stored; the same id may be published again
     └─ JobError                  asking for a job's outcome
         ├─ JobFailed             the task raised; carries type, message and traceback as text
         ├─ JobCancelled          ended by a request
         ├─ JobExpired            was not started before its `expires`
         ├─ UnknownJob            no such job
         ├─ ResultExpired         it ended, and its result's time to live is over
         └─ ResultTimeout         (also TimeoutError) not ended yet

Steering, raised inside a task:

     RetryIn(seconds)  again later, spends an attempt     Snooze(seconds)  again later, spends none
     Abort(reason)     dead now, no further attempt       SoftTimeLimit    raised in the task at its soft limit
     Cancelled         (BaseException) raised in the task when its cancellation was asked for
     HardTimeLimit     (BaseException) raised in the task at its hard limit; what ignores it is killed
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

__all__ = [
    "Abort", "BrokerCorrupt", "BrokerError", "BrokerFull", "BrokerUnavailable", "Cancelled", "ConfigurationError",
    "ErrorRecord", "HardTimeLimit", "InvalidArguments", "JobCancelled", "JobError", "JobExpired", "JobFailed",
    "MissingExtra", "MissingRole", "PublishUnknown", "ResultExpired", "ResultTimeout", "RetryIn", "Snooze",
    "SoftTimeLimit", "TidewheelError", "UnknownJob",
]  # fmt: skip


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An exception as data: what is stored, shown and sent. Never a class to import."""

    type: str
    """Dotted name, as `smtplib.SMTPServerDisconnected`; builtins have no prefix."""
    message: str = ""
    traceback: str = ""
    args: tuple[str | int | float | bool | None, ...] | None = None
    """The exception's arguments when all of them are plain values, so that a caller can rebuild it."""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


class TidewheelError(Exception):
    """The root of everything that Tidewheel raises on purpose."""


class ConfigurationError(TidewheelError, ValueError):
    """The app, a task or an option is put together wrongly. Raised before any I/O."""


class MissingExtra(ConfigurationError):
    """A driver is not installed."""


class MissingRole(ConfigurationError):
    """The engine in use cannot do what was asked for."""


class InvalidArguments(TidewheelError, TypeError):
    """The arguments of a call do not fit the task's signature, or cannot be encoded."""


class BrokerError(TidewheelError):
    """Talking to the engine went wrong."""


class BrokerUnavailable(BrokerError, ConnectionError):
    """The engine cannot be reached or refuses; nothing was stored."""


class BrokerFull(BrokerError):
    """The engine has no room; nothing was stored."""


class BrokerCorrupt(BrokerError):
    """The store is damaged, is not Tidewheel's, or was written by a newer version."""


class PublishUnknown(BrokerError):
    """The engine's answer was lost: the jobs may or may not be stored. Publishing the same ids again is safe."""

    def __init__(self, message: str, ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.ids = ids


class JobError(TidewheelError):
    """The outcome of a job is not a value."""

    def __init__(self, message: str, job_id: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id


class JobFailed(JobError):
    """The job is dead: its task raised, or it was given up. `error` says how, `reason` says why it was not tried again."""

    def __init__(self, message: str, job_id: str = "", *, error: ErrorRecord | None = None, reason: str = "failed") -> None:
        super().__init__(message, job_id)
        self.error = error
        self.reason = reason


class JobCancelled(JobError):
    """The job was cancelled."""


class JobExpired(JobError):
    """The job was not started before its `expires`."""


class UnknownJob(JobError, LookupError):
    """No job with this id is known."""


class ResultExpired(JobError, LookupError):
    """The job is older than the time to live of results; whatever came of it is no longer kept."""


class ResultTimeout(JobError, TimeoutError):
    """The job has not ended within the time given. It goes on; ask again or cancel it."""


def _delay(what: str, delay: float | timedelta) -> float:
    """Seconds; a moment that is over already is now."""
    value = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
    if not value < 1e11:
        raise ValueError(f"{what}({delay!r}): expected seconds or a timedelta")
    return max(0.0, value)


class RetryIn(Exception):
    """Raise in a task: run it again in `delay` seconds and count an attempt (what a `Retry-After` header asks for).

    When no attempt is left the job is dead. `reason` goes into the job's history.
    """

    def __init__(self, delay: float | timedelta, reason: str = "") -> None:
        self.delay = _delay("RetryIn", delay)
        self.reason = reason
        super().__init__(reason or f"retry in {self.delay:g} s")


class Snooze(Exception):
    """Raise in a task: not now. Run it again in `delay` seconds, without spending an attempt."""

    def __init__(self, delay: float | timedelta, reason: str = "") -> None:
        self.delay = _delay("Snooze", delay)
        self.reason = reason
        super().__init__(reason or f"snooze {self.delay:g} s")


class Abort(Exception):
    """Raise in a task: give up now. The job goes to the dead letters with this reason, whatever attempts are left."""


class SoftTimeLimit(Exception):
    """Raised inside a task when its soft time limit is over; the task may catch it to clean up."""


class Cancelled(BaseException):
    """Raised inside a running task when its cancellation was asked for. Not an `Exception`, so `except Exception` lets it pass."""


class HardTimeLimit(BaseException):
    """Raised inside a running task at its hard time limit. Catching it does not help: the process is killed soon after."""
