"""Dead letters: messages in a queue of their own, whose body holds all that is known of the job, so that people can look and revive.

The server itself writes some too (a message that was given out `DELIVERY_LIMIT` times): those are the job's message as it was.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pika

from tidewheel.backends.rabbitmq.message import NOBODY, Message, Meta, again
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
    return Delivery(envelope=envelope, token=NOBODY, published=float(getattr(props, "timestamp", None) or 0), deliveries=1)


def _message(store: Store, letter: Letter) -> Message:
    properties = pika.BasicProperties(
        message_id=letter.id, type=letter.task, content_type=TYPE, delivery_mode=2, timestamp=int(letter.died),
        headers={"reason": letter.reason},
    )  # fmt: skip
    return Message(letter.id, store.names.dead(letter.meta.queue), _encoder.encode(letter), properties)


def read(props: Any, body: bytes) -> Letter:
    """Raises `ValueError`s for what is no dead letter."""
    return _decoder.decode(body)


def view(letter: Letter) -> JobView:
    m = letter.meta
    return JobView(
        id=letter.id, state="dead", task=letter.task, queue=m.queue, priority=m.priority, published=m.published, finished=letter.died,
        expires=m.expires, key=m.key, deliveries=m.deliveries, attempts=m.attempts, strikes=m.strikes, losses=m.losses,
        reason=letter.reason, body=letter.body, error=letter.error or None, headers=m.headers,
        history=(HistoryEntry(at=letter.died, event="dead", worker=letter.worker, detail=letter.error),),
    )  # fmt: skip
