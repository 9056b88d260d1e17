"""A job as a message: the body as it is, and one header, `tidewheel`, of JSON with everything that is ours.

Counters live in the header, so whoever puts a job back writes a new message. What the header cannot know is how often the server has
given the message out again because a worker was lost: that is the server's own header, `x-delivery-count` (since RabbitMQ 4.3
`x-acquired-count`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from tidewheel.backends.rabbitmq import frames
from tidewheel.core.job import Delivery, Envelope, Token
from tidewheel.core.outcome import Counted
from tidewheel.errors import InvalidArguments

HEADER = "tidewheel"
LARGEST = 100_000
"""Bytes of that header, which must fit into one frame of 128 KiB with the rest."""

LATEST = 2**53
"""Seconds. No message was published then, or later."""


class Meta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The header."""

    # Within these bounds it can be put back, whoever wrote it.
    published: Annotated[float, msgspec.Meta(ge=0, lt=LATEST)]
    queue: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    priority: int = 0
    due: float = 0.0
    rest: float = 0.0
    """Seconds that remain to be waited when it arrives: what the delay ladder, which counts in seconds, leaves over."""
    expires: float | None = None
    key: str | None = None
    key_window: float = 60.0
    headers: Mapping[str, str] = {}
    deliveries: int = 0
    attempts: int = 0
    strikes: int = 0
    losses: int = 0


class Message(msgspec.Struct, frozen=True):
    """Something to be published."""

    id: str
    key: str
    """Of routing."""
    body: bytes
    properties: bytes
    exchange: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Meta)


def properties(id_: str, task: str, meta: Meta) -> bytes:
    """The properties of a message. Raises `InvalidArguments` when what travels with the job is too large."""
    text = _encoder.encode(meta)
    if len(text) > LARGEST:
        raise InvalidArguments(f"job {id_} ({task}): its headers are too large for RabbitMQ: {len(text)} of at most {LARGEST} bytes")
    try:
        return frames.properties(id_, task, int(meta.published), {HEADER: text})
    except ValueError as error:
        raise InvalidArguments(f"job {id_} ({task}): its id or its task's name is too long for RabbitMQ: {error}") from None


def first(envelope: Envelope, now: float) -> Meta:
    """The header of a job that is published now."""
    return Meta(
        published=now, queue=envelope.queue, priority=envelope.priority, due=envelope.due_at(now), expires=envelope.expires_at(now),
        key=envelope.key, key_window=envelope.key_window, headers=envelope.headers,
    )  # fmt: skip


def again(delivery: Delivery, due: float, counted: Counted = "", *, delivered: bool = True) -> Meta:
    """The header of a job that is put back; `counted` goes up by one. `delivered`: this delivery was a claim, and counts."""
    e = delivery.envelope
    return Meta(
        published=delivery.published, queue=e.queue, priority=e.priority, due=due, expires=e.expires, key=e.key, key_window=e.key_window,
        headers=e.headers, deliveries=delivery.deliveries - (not delivered), attempts=delivery.attempts + (counted == "attempts"),
        strikes=delivery.strikes + (counted == "strikes"), losses=delivery.losses + (counted == "losses"),
    )  # fmt: skip


class Arrived(msgspec.Struct, frozen=True):
    """A message that the server has given us."""

    meta: Meta
    delivery: Delivery
    """As a claim would hand it out; with no token yet."""
    lost: int
    """How often it has been given to a worker that was lost, since this message was published."""


NOBODY = Token("", 0)


def read(props: Any, body: bytes) -> Arrived:
    """Raises `ValueError`s (msgspec's among them) for a message that is not ours."""
    headers: Mapping[str, Any] = props.headers or {}
    text = headers.get(HEADER)
    if not isinstance(text, str) or not props.message_id or not props.type:
        raise ValueError("it has no header of Tidewheel's")
    meta = _decoder.decode(text)
    if not meta.queue.isascii():
        raise ValueError(f"there can be no queue {meta.queue!r}")
    lost = max(_count(headers.get("x-delivery-count")), _count(headers.get("x-acquired-count")))
    envelope = Envelope(
        id=props.message_id, task=props.type, body=body, queue=meta.queue, priority=meta.priority, expires=meta.expires, key=meta.key,
        key_window=meta.key_window, headers=meta.headers,
    )  # fmt: skip
    delivery = Delivery(
        envelope=envelope, token=NOBODY, published=meta.published, deliveries=meta.deliveries + lost + 1, attempts=meta.attempts,
        strikes=meta.strikes, losses=meta.losses + lost,
    )  # fmt: skip
    return Arrived(meta, delivery, lost)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
