"""A task that went on as another job.

A job that is repeated keeps its arguments and its queue. `self.retry()` may ask for others: then the job ends, its value saying where
it went, and a new job, stored in the same step, goes on under the task's id. Who asks for the task follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tidewheel.celery.app.request import MOVED
from tidewheel.celery.app.sending import prepare
from tidewheel.task import OVERRIDES, Call
from tidewheel.wire.values import decode

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.celery.app.task import Task
    from tidewheel.celery.exceptions import Retry
    from tidewheel.contract import Record

__all__ = ["moved_to", "next_call", "present"]


def moved_to(record: Record) -> str | None:
    """The job that goes on with the task of this one; None when this is the last."""
    if record.state != "succeeded" or record.value is None or MOVED.encode() not in record.value:
        return None
    value = decode(record.value)
    found: str | None = value.get(MOVED) if isinstance(value, dict) else None
    return found


def present(native: Tidewheel, job_id: str) -> Record:
    """What is known of the last job of a task. Raises `UnknownJob` or `ResultExpired`."""
    record = native.record(job_id)
    while (later := moved_to(record)) is not None:
        record = native.record(later)
    return record


def next_call(task: Task, asked: Retry, delay: float) -> Call[Any]:
    """The job that goes on with the task: what the retry asks for, and everything else as it is now."""
    request, native, changed = task.request, task.request.native, asked.sig
    job = native.job
    options = {
        "queue": job.queue, "root_id": request.root_id, "parent_id": request.parent_id, "group_id": request.group,
        "group_index": request.group_index, "shadow": request.shadow, "headers": request.headers, "reply_to": request.reply_to,
        "link": request.callbacks, "link_error": request.errbacks, "known_as": request.id, "retries": request.retries + 1,
        **changed["options"], "countdown": delay, "eta": None, "task_id": None,
    }  # fmt: skip
    call = prepare(task.app, task.name, changed["args"], changed["kwargs"], options)
    envelope = call.envelope
    if "priority" not in changed["options"]:
        envelope = msgspec.structs.replace(envelope, priority=job.priority)
    if OVERRIDES in job.headers and OVERRIDES not in envelope.headers:
        envelope = msgspec.structs.replace(envelope, headers={**envelope.headers, OVERRIDES: job.headers[OVERRIDES]})
    return Call(call.task, envelope)
