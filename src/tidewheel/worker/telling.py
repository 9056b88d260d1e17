"""Outcomes as events."""

from __future__ import annotations

from tidewheel import events
from tidewheel.core.job import Delivery
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Succeeded
from tidewheel.wire.failures import decode_error

__all__ = ["EVENT_OF", "event_of", "tell"]


def tell(emitter: events.Emitter, delivery: Delivery, outcome: AnyOutcome, duration: float) -> None:
    """Emit the event of an outcome to whoever listens."""
    kind = EVENT_OF[type(outcome)]
    if emitter.wants(kind):
        emitter.emit(event_of(delivery, outcome, duration))


EVENT_OF: dict[type, type[events.JobEvent]] = {
    Succeeded: events.JobSucceeded,
    Again: events.JobRetried,
    Dead: events.JobFailed,
    Cancelled: events.JobCancelled,
}


def event_of(delivery: Delivery, outcome: AnyOutcome, duration: float) -> events.JobEvent:
    """The event that an outcome is."""
    e = delivery.envelope
    match outcome:
        case Succeeded():
            return events.JobSucceeded(id=e.id, task=e.task, queue=e.queue, attempt=delivery.attempt, duration=duration)
        case Again():
            return events.JobRetried(
                id=e.id, task=e.task, queue=e.queue, attempt=delivery.attempt, why=outcome.event, delay=outcome.delay, duration=duration,
                error=decode_error(outcome.error),
            )  # fmt: skip
        case Dead():
            return events.JobFailed(
                id=e.id, task=e.task, queue=e.queue, attempt=delivery.attempt, reason=outcome.reason, duration=duration,
                error=decode_error(outcome.error),
            )  # fmt: skip
        case _:
            return events.JobCancelled(id=e.id, task=e.task, queue=e.queue)
