"""The frames that are written and read for every job, without an object for each of their parts: publications and acknowledgements on
their way out, deliveries and confirmations on their way in. Everything else is pika's.

A message is three frames or more: the method, the header with its properties, and the body in pieces.

    | type 1 | channel 2 | size 4 | payload | 0xCE |

Source: AMQP 0-9-1 (protocol, 2.3.5 and 4.2; `basic` in its reference), with RabbitMQ's types of fields in tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct, error
from typing import Any, Final

import msgspec
from pika import BasicProperties

METHOD, HEADER, BODY = 1, 2, 3
END = b"\xce"
AROUND: Final = 8
"""Bytes of a frame that are not its payload."""
BASIC, PUBLISH, DELIVER, ACK = 60, 40, 60, 80

# Flags of the properties that we write, in their order.
CONTENT_TYPE, HEADERS, DELIVERY_MODE, MESSAGE_ID, TIMESTAMP, TYPE = (1 << bit for bit in (15, 13, 12, 7, 6, 5))
OURS = HEADERS | DELIVERY_MODE | MESSAGE_ID | TIMESTAMP | TYPE
PERSISTENT = b"\x02"
LONG_STRING, INTEGER = ord("S"), ord("l")

_FRAME = Struct(">BHI")
_METHOD = Struct(">BHIHH")
_PUBLISH = Struct(">BHIHHHB")
_HEADER = Struct(">BHIHHQ")
_ACK = Struct(">BHIHHQBB")
_LONG = Struct(">Q")
_SIGNED = Struct(">q")
_SIZE = Struct(">I")
_FLAGS = Struct(">H")


class Properties(msgspec.Struct, frozen=True, gc=False):
    """Those of a message that are known here; pika's object for the others has these attributes, too."""

    content_type: str | None = None
    headers: Mapping[str, Any] | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """What the server says of a message that it gives us; pika's object has these attributes, too."""

    consumer_tag: str
    delivery_tag: int


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A whole message."""

    channel: int
    method: Deliver
    properties: Any
    body: bytes


class Confirmation(msgspec.Struct, frozen=True, gc=False):
    """What the server says of what we published: all until there, or that one."""

    channel: int
    tag: int
    multiple: bool


# -- on their way out ---------------------------------------------------------------------------------------------------


def properties(message_id: str, type_: str, timestamp: int, headers: Mapping[str, bytes], content_type: str = "") -> bytes:
    """The properties of a message that outlives the server's restart. Raises `ValueError` for texts that do not fit."""
    fields = [_short(name) + b"S" + _SIZE.pack(len(text)) + text for name, text in headers.items()]
    table = b"".join(fields)
    flags = OURS | (CONTENT_TYPE if content_type else 0)
    return b"".join((
        _FLAGS.pack(flags), _short(content_type) if content_type else b"", _SIZE.pack(len(table)), table, PERSISTENT, _short(message_id),
        _LONG.pack(timestamp), _short(type_),
    ))  # fmt: skip


def publication(channel: int, exchange: str, key: str, properties: bytes, body: bytes, piece: int) -> bytes:
    """A message that is to come back if it reaches no queue. `piece`: the most bytes of a body that fit into a frame."""
    to, by, length = exchange.encode(), key.encode(), len(body)
    return b"".join((
        _PUBLISH.pack(METHOD, channel, 9 + len(to) + len(by), BASIC, PUBLISH, 0, len(to)), to, _short_of(by), b"\x01", END,
        _HEADER.pack(HEADER, channel, 12 + len(properties), BASIC, 0, length), properties, END,
        *(_pieces(channel, body, piece) if length > piece else (_FRAME.pack(BODY, channel, length), body, END) if body else ()),
    ))  # fmt: skip


def _pieces(channel: int, body: bytes, piece: int) -> Iterator[bytes]:
    for start in range(0, len(body), piece):
        part = body[start : start + piece]
        yield _FRAME.pack(BODY, channel, len(part))
        yield part
        yield END


def acknowledgement(channel: int, tag: int, *, multiple: bool = False) -> bytes:
    """Of this delivery, or of all until there."""
    return _ACK.pack(METHOD, channel, 13, BASIC, ACK, tag, multiple, END[0])


def _short(text: str) -> bytes:
    return _short_of(text.encode())


def _short_of(text: bytes) -> bytes:
    if len(text) > 255:
        raise ValueError(f"{text.decode()!r} is too long: {len(text)} of at most 255 bytes")
    return bytes((len(text),)) + text


# -- on their way in ----------------------------------------------------------------------------------------------------


class Partial(Exception):
    """The rest of it has not come yet."""


class Unknown(Exception):
    """It is something else, or not as it should be: pika is to read it."""


def read(data: bytes, at: int) -> tuple[Delivery | Confirmation, int]:
    """What begins there, and where it ends. Raises `Partial` and `Unknown`."""
    there = len(data)
    if there - at < _METHOD.size:
        raise Partial if data[at] == METHOD else Unknown  # a heartbeat is shorter
    kind, channel, size, of, method = _METHOD.unpack_from(data, at)
    if kind != METHOD or of != BASIC or (method != DELIVER and method != ACK):
        raise Unknown
    start, header = at + _METHOD.size, at + AROUND + size
    if method == ACK:
        if header > there:
            raise Partial
        if data[header - 1] != END[0]:
            raise Unknown
        return Confirmation(channel, _LONG.unpack_from(data, start)[0], data[start + 8] & 1 == 1), header
    if there - header < _HEADER.size:
        raise Partial
    kind, same, size, _, _, length = _HEADER.unpack_from(data, header)
    if kind != HEADER or same != channel or data[header - 1] != END[0]:
        raise Unknown
    at = header + AROUND + size
    if at + length > there:
        raise Partial
    if data[at - 1] != END[0]:
        raise Unknown
    body, end = _body(data, at, channel, length)
    tag = start + 1 + data[start]
    try:
        said = Deliver(data[start + 1 : tag].decode(), _LONG.unpack_from(data, tag)[0])
        return Delivery(channel, said, _properties(data, header + _HEADER.size, at - 1), body), end
    except (UnicodeDecodeError, IndexError, error):
        raise Unknown from None


def _body(data: bytes, at: int, channel: int, length: int) -> tuple[bytes, int]:
    """What its frames hold together, and where they end."""
    pieces, left = list[bytes](), length
    while left > 0:
        start = at + _FRAME.size
        if start > len(data):
            raise Partial
        kind, of, size = _FRAME.unpack_from(data, at)
        at = start + size + 1
        if kind != BODY or of != channel or size > left:
            raise Unknown
        if at > len(data):
            raise Partial
        if data[at - 1] != END[0]:
            raise Unknown
        pieces.append(data[start : at - 1])
        left -= size
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), at


def _properties(data: bytes, at: int, end: int) -> Any:
    """Ours, or pika's object for what we would not have written."""
    (flags,) = _FLAGS.unpack_from(data, at)
    headers = _table(data, at + 2) if flags == OURS else None
    if headers is None:
        found = BasicProperties()
        found.decode(data[at:end])
        return found
    at += 2 + 4 + _SIZE.unpack_from(data, at + 2)[0] + 1
    start, at = at + 1, at + 1 + data[at]
    timestamp = at
    type_ = at + 9
    text = data[type_ : type_ + data[type_ - 1]].decode()
    return Properties(None, headers, data[start:at].decode(), _LONG.unpack_from(data, timestamp)[0], text)


def _table(data: bytes, at: int) -> dict[str, Any] | None:
    """A table of texts and whole numbers; None: there is something else in it."""
    found: dict[str, Any] = {}
    end = at + 4 + _SIZE.unpack_from(data, at)[0]
    at += 4
    while at < end:
        start, at = at + 1, at + 1 + data[at]
        name, kind = data[start:at].decode(), data[at]
        if kind == LONG_STRING:
            start = at + 5
            at = start + _SIZE.unpack_from(data, at + 1)[0]
            found[name] = data[start:at].decode()
        elif kind == INTEGER:
            found[name] = _SIGNED.unpack_from(data, at + 1)[0]
            at += 9
        else:
            return None
    return found
