"""Dead letters: messages in a queue of their own, whose body holds all that is known of the job, so that people can look and revive.

The server itself writes some too (a message that was given out `DELIVERY_LIMIT` times): those are the job's message as it was.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec
from msgspec.structs import replace

from tidewheel.backends.rabbitmq import frames, message
from tidewheel.backends.rabbitmq.message import LATEST, NOBODY, Message, Meta, again
from tidewheel.backends.rabbitmq.store import Store
from tidewheel.core.job import Delivery, Envelope, HistoryEntry, JobView
from tidewheel.core.outcome import Dead
from tidewheel.wire.failures import encode_error, record

TYPE = "application/vnd.tidewheel.dead+msgpack"


class Letter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a dead letter."""

    id: str
    task: str
    meta: Meta
    body: bytes
    reason: str
    error: bytes = b""
    died: float
    worker: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Letter)


def dead(store: Store, delivery: Delivery, outcome: Dead, now: float, worker: str, *, claimed: bool = True) -> Message:
    """The dead letter of a job."""
    letter = Letter(
        id=delivery.id, task=delivery.envelope.task, meta=again(delivery, 0.0, outcome.counted if claimed else "", delivered=claimed),
        body=delivery.envelope.body, reason=outcome.reason, error=outcome.error, died=now, worker=worker,
    )  # fmt: skip
    return _message(store, letter)


def undecodable(store: Store, delivery: Delivery, error: Exception, now: float, worker: str) -> Message:
    """The dead letter of a message that is not ours."""
    outcome = Dead("undecodable", encode_error(record(error, with_traceback=False)))
    return dead(store, delivery, outcome, now, worker, claimed=False)


def foreign(queue: str, props: Any, body: bytes) -> Delivery:
    """What can be said of a message that is not ours."""
    name = str(props.message_id or "")[:128] or "unknown"
    envelope = Envelope(id=name, task=str(props.type or "unknown")[:128], body=body, queue=queue)
    published = props.timestamp or 0
    return Delivery(envelope=envelope, token=NOBODY, published=float(published) if published < LATEST else 0.0, deliveries=1)


def _message(store: Store, letter: Letter) -> Message:
    properties = frames.properties(letter.id, letter.task, int(letter.died), {"reason": letter.reason.encode()}, TYPE)
    return Message(letter.id, store.names.dead(letter.meta.queue), _encoder.encode(letter), properties)


def read(queue: str, props: Any, body: bytes) -> Letter:
    """Whatever lies among the dead letters of a queue: one of ours, a job that the server gave up, or what somebody else put there."""
    if props.content_type == TYPE:
        try:
            return _decoder.decode(body)
        except ValueError:
            pass
    try:
        delivery, reason = message.read(props, body).delivery, "poison"
    except Exception:
        delivery, reason = foreign(queue, props, body), "undecodable"
    e = delivery.envelope
    return Letter(id=e.id, task=e.task, meta=again(delivery, 0.0, delivered=False), body=e.body, reason=reason, died=_died(props))


def _died(props: Any) -> float:
    """When the server put it there; 0: it does not say."""
    for death in (props.headers or {}).get("x-death") or ():
        when = death.get("time") if isinstance(death, dict) else None
        if isinstance(when, datetime):
            return when.replace(tzinfo=timezone.utc).timestamp()
    return float(props.timestamp or 0)


def revived(store: Store, letter: Letter) -> Message:
    """The job as a new message, with fresh counters. It does not expire any more."""
    m = letter.meta
    meta = replace(m, due=0.0, rest=0.0, expires=None, attempts=0, strikes=0, losses=0)
    return store.message(letter.id, letter.task, meta, letter.body, 0.0)


def view(letter: Letter) -> JobView:
    m = letter.meta
    return JobView(
        id=letter.id, state="dead", task=letter.task, queue=m.queue, priority=m.priority, published=m.published, finished=letter.died,
        expires=m.expires, key=m.key, deliveries=m.deliveries, attempts=m.attempts, strikes=m.strikes, losses=m.losses,
        reason=letter.reason, body=letter.body, error=letter.error or None, headers=m.headers,
        history=(HistoryEntry(at=letter.died, event="dead", worker=letter.worker, detail=letter.error),),
    )  # fmt: skip
