"""What each event says in the logs: its level, its sentence (in words that Celery's users know) and its fields.

Never in a line: arguments, results, progress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any, NamedTuple

from msgspec.structs import replace

from tidewheel import events as e
from tidewheel.errors import ErrorRecord
from tidewheel.observe.text import cap, escape

__all__ = ["LINES", "Line"]

SAYINGS = ("tidewheel.errors.Abort", "tidewheel.errors.RetryIn")
"""What a task raises to say something, not because something broke."""

SHORT = 500
"""Characters of an exception's message that go into the sentence."""


class Line(NamedTuple):
    level: int
    text: str
    fields: Mapping[str, Any]
    error: ErrorRecord | None = None


def _job(event: e.JobEvent, **more: Any) -> dict[str, Any]:
    return {"task": event.task, "job_id": event.id, "queue": event.queue, **more}


def _name(event: e.JobEvent) -> str:
    return f"Task {event.task}[{event.id}]"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _error(error: ErrorRecord | None) -> str:
    """`: ValueError: no such user`, on one line."""
    return "" if error is None else ": " + escape(cap(str(error).rstrip(), SHORT))


def _trace(error: ErrorRecord | None) -> ErrorRecord | None:
    """The error to print below the line; without its traceback where raising was the task's way of saying something."""
    return replace(error, traceback="") if error is not None and error.type in SAYINGS else error


# -- jobs -------------------------------------------------------------------------------------------------------------


def _published(event: e.JobPublished) -> Line:
    return Line(DEBUG, f"{_name(event)} published to {event.queue}", _job(event))


def _started(event: e.JobStarted) -> Line:
    text = f"{_name(event)} started after {event.waited:.3f}s" + (f", attempt {event.attempt}" if event.attempt > 1 else "")
    return Line(DEBUG, text, _job(event, attempt=event.attempt, waited_ms=_ms(event.waited)))


def _succeeded(event: e.JobSucceeded) -> Line:
    fields = _job(event, attempt=event.attempt, duration_ms=_ms(event.duration), outcome="succeeded")
    return Line(INFO, f"{_name(event)} succeeded in {event.duration:.3f}s", fields)


_RETRIED = {
    "retry": (WARNING, "retry in {delay}, attempt {attempt} failed"),
    "snooze": (INFO, "snoozed for {delay}"),
    "crashed": (WARNING, "crashed its process, retry in {delay}"),
    "lost": (WARNING, "lost with its worker, retry in {delay}"),
    "interrupted": (INFO, "interrupted, handed back"),
    "returned": (INFO, "not started, handed back"),
    "unknown task": (WARNING, "is of a task that this worker does not know, handed on for {delay}"),
}


def _retried(event: e.JobRetried) -> Line:
    level, text = _RETRIED.get(event.why, (WARNING, "retry in {delay} (" + escape(event.why) + ")"))
    text = text.format(delay=f"{event.delay:.3g}s", attempt=event.attempt)
    fields = _job(
        event, attempt=event.attempt, duration_ms=_ms(event.duration), outcome="retried", reason=event.why, delay_ms=_ms(event.delay)
    )
    return Line(level, f"{_name(event)} {text}{_error(event.error)}", fields, _trace(event.error))


def _failed(event: e.JobFailed) -> Line:
    fields = _job(event, attempt=event.attempt, duration_ms=_ms(event.duration), outcome="failed", reason=event.reason)
    what = "failed" if event.reason == "failed" else f"is dead ({escape(event.reason)})"
    tries = f" after {event.attempt} attempts" if event.attempt > 1 else ""
    # To give up was the task's own decision where it raised Abort: nothing is broken.
    level = WARNING if event.reason == "aborted" else ERROR
    return Line(level, f"{_name(event)} {what}{tries}{_error(event.error)}", fields, _trace(event.error))


def _cancelled(event: e.JobCancelled) -> Line:
    return Line(INFO, f"{_name(event)} cancelled", _job(event, outcome="cancelled"))


# -- workers ----------------------------------------------------------------------------------------------------------


def _worker_starting(event: e.WorkerStarting) -> Line:
    return Line(DEBUG, f"{escape(event.worker)} starting", {"worker": event.worker})


def _worker_started(event: e.WorkerStarted) -> Line:
    return Line(INFO, f"{escape(event.worker)} ready", {"worker": event.worker})


def _draining(event: e.WorkerDraining) -> Line:
    text = f"{escape(event.worker)} stopping, {_count(event.running, 'job')} to finish"
    return Line(INFO, text, {"worker": event.worker, "running": event.running})


def _stopped(event: e.WorkerStopped) -> Line:
    cut = f", {_count(event.cut, 'job')} cut short and handed back" if event.cut else ""
    refused = f", {_count(event.refused, 'outcome')} refused" if event.refused else ""
    fields = {"worker": event.worker, "cut": event.cut, "refused": event.refused}
    return Line(WARNING if event.cut else INFO, f"{escape(event.worker)} stopped{cut}{refused}", fields)


def _executor_started(event: e.ExecutorStarted) -> Line:
    return Line(DEBUG, f"executor {event.pid} started", {"worker": event.worker, "pid": event.pid})


def _executor_ended(event: e.ExecutorEnded) -> Line:
    wanted = event.why in ("recycled", "stopped", "retired")
    text = f"executor {event.pid} {event.why if wanted else 'ended: ' + escape(event.why)}"
    return Line(DEBUG if wanted else ERROR, text, {"worker": event.worker, "pid": event.pid, "reason": event.why})


def _broker_lost(event: e.BrokerLost) -> Line:
    text = f"broker lost, trying again: {escape(cap(event.error, SHORT))}"
    return Line(ERROR, text, {"worker": event.worker, "error.message": cap(event.error, 4 * SHORT)})


def _broker_found(event: e.BrokerFound) -> Line:
    # Not below the level of a warning: whoever read that it was lost must read that it is back.
    text = f"broker is back after {event.after:.1f}s"
    return Line(WARNING, text, {"worker": event.worker, "after_ms": _ms(event.after)})


def _refused(event: e.OutcomeRefused) -> Line:
    why = "somebody else has it now" if event.verdict == "stale" else "it is not running any more"
    text = f"outcome of job {escape(event.id)} refused ({escape(event.verdict)}): {why}"
    return Line(INFO, text, {"worker": event.worker, "job_id": event.id, "reason": event.verdict})


def _broadcast(event: e.Broadcast) -> Line:
    return Line(DEBUG, f"broadcast {escape(event.topic)} heard", {"topic": event.topic})


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


LINES: dict[type[e.Event], tuple[str, int, Callable[[Any], Line]]] = {
    e.JobPublished: ("job.published", DEBUG, _published),
    e.JobStarted: ("job.started", DEBUG, _started),
    e.JobSucceeded: ("job.succeeded", INFO, _succeeded),
    e.JobRetried: ("job.retried", WARNING, _retried),
    e.JobFailed: ("job.failed", ERROR, _failed),
    e.JobCancelled: ("job.cancelled", INFO, _cancelled),
    e.WorkerStarting: ("worker.starting", DEBUG, _worker_starting),
    e.WorkerStarted: ("worker.started", INFO, _worker_started),
    e.WorkerDraining: ("worker.draining", INFO, _draining),
    e.WorkerStopped: ("worker.stopped", WARNING, _stopped),
    e.ExecutorStarted: ("executor.started", DEBUG, _executor_started),
    e.ExecutorEnded: ("executor.ended", ERROR, _executor_ended),
    e.BrokerLost: ("broker.lost", ERROR, _broker_lost),
    e.BrokerFound: ("broker.found", WARNING, _broker_found),
    e.OutcomeRefused: ("outcome.refused", INFO, _refused),
    e.Broadcast: ("broadcast.heard", DEBUG, _broadcast),
}
"""Event class -> name, the highest level that it can have, what it says."""
