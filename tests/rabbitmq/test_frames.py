"""Our frames beside pika's: what we write, pika would have written, and what we read, pika would have read; in whatever pieces it comes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec

from tidewheel.backends.rabbitmq import frames
from tidewheel.backends.rabbitmq.driver import KEPT, Connection
from tidewheel.backends.rabbitmq.frames import Confirmation, Delivery, Partial, Unknown
from tidewheel.backends.rabbitmq.message import Meta, properties
from tidewheel.errors import InvalidArguments

pytestmark = pytest.mark.fast

PIECE = 20
"""Bytes of a body in one frame, where it does not matter."""

short = st.text(max_size=60)
"""At most 240 bytes."""
bodies = st.binary(max_size=60)
pieces = st.integers(8, 40)
tags = st.integers(0, 2**64 - 1)
channels = st.integers(1, 65535)
headers = st.dictionaries(
    short.filter(bool), st.text(max_size=80) | st.integers(2**31, 2**63 - 1) | st.just([1, "a"]) | st.booleans(), max_size=3
)


def message(channel: int, method: Any, props: BasicProperties, body: bytes, piece: int) -> bytes:
    """As pika writes it."""
    parts = [body[n : n + piece] for n in range(0, len(body), piece)]
    whole = [frame.Method(channel, method), frame.Header(channel, len(body), props), *(frame.Body(channel, part) for part in parts)]
    return b"".join(f.marshal() for f in whole)


def deliver(consumer: str, tag: int, again: bool = False) -> Any:
    return spec.Basic.Deliver(consumer, tag, again, "", "key")


class TestWriting:
    @given(
        channels, short, short, short, short, st.integers(0, 2**40), st.text(max_size=90), st.sampled_from(["", "text/x"]), bodies, pieces
    )
    def test_publications(
        self, channel: int, exchange: str, key: str, id_: str, type_: str, stamp: int, text: str, content_type: str, body: bytes, piece: int
    ) -> None:
        ours = frames.properties(id_, type_, stamp, {"tidewheel": text.encode()}, content_type)
        theirs = BasicProperties(
            message_id=id_, type=type_, timestamp=stamp, headers={"tidewheel": text}, delivery_mode=2, content_type=content_type or None
        )
        method = spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=True)
        assert frames.publication(channel, exchange, key, ours, body, piece) == message(channel, method, theirs, body, piece)

    @given(channels, tags, st.booleans())
    def test_acknowledgements(self, channel: int, tag: int, multiple: bool) -> None:
        theirs = frame.Method(channel, spec.Basic.Ack(tag, multiple)).marshal()
        assert frames.acknowledgement(channel, tag, multiple=multiple) == theirs

    @pytest.mark.parametrize(("id_", "task"), [("é" * 128, "t"), ("i", "é" * 128)])
    def test_names_that_do_not_fit_are_refused(self, id_: str, task: str) -> None:
        with pytest.raises(InvalidArguments, match=r"too long for RabbitMQ: .* 256 of at most 255 bytes"):
            properties(id_, task, Meta(published=1.0, queue="q"))


class TestReading:
    @given(channels, short, tags, st.booleans(), headers, st.sampled_from([None, "text/x"]), bodies, pieces, st.binary(max_size=9))
    def test_deliveries(
        self,
        channel: int,
        consumer: str,
        tag: int,
        again: bool,
        table: dict[str, Any],
        content_type: str | None,
        body: bytes,
        piece: int,
        rest: bytes,
    ) -> None:
        props = BasicProperties(message_id="i", type="t", timestamp=7, headers=table, delivery_mode=2, content_type=content_type)
        data = message(channel, deliver(consumer, tag, again), props, body, piece)
        found, end = frames.read(b"before" + data + rest, 6)
        assert end == 6 + len(data)
        assert isinstance(found, Delivery)
        assert (found.channel, found.method.consumer_tag, found.method.delivery_tag, found.body) == (channel, consumer, tag, body)
        p = found.properties
        assert (p.message_id, p.type, p.timestamp, p.headers, p.content_type) == ("i", "t", 7, table, content_type)
        for cut in range(1, len(data)):
            with pytest.raises(Partial):
                frames.read(data[:cut], 0)

    @given(channels, tags, st.booleans())
    def test_confirmations(self, channel: int, tag: int, multiple: bool) -> None:
        data = frame.Method(channel, spec.Basic.Ack(tag, multiple)).marshal()
        assert frames.read(data, 0) == (Confirmation(channel, tag, multiple), len(data))
        for cut in range(1, len(data)):
            with pytest.raises(Partial):
                frames.read(data[:cut], 0)

    @pytest.mark.parametrize(
        "data",
        [
            frame.Heartbeat().marshal(),
            frame.Method(1, spec.Basic.Nack(1)).marshal(),
            frame.Method(1, spec.Basic.Return(312, "NO_ROUTE", "", "key")).marshal(),
            frame.Method(1, spec.Channel.Close(404, "no", 0, 0)).marshal(),
            frame.Header(1, 3, BasicProperties()).marshal(),
            frame.Body(1, b"abc").marshal(),
            message(1, deliver("c", 1), BasicProperties(), b"", 9)[:-1] + b"?",  # no end
            frame.Method(1, deliver("c", 1)).marshal() + frame.Header(2, 0, BasicProperties()).marshal(),  # another channel
            frame.Method(1, deliver("c", 1)).marshal() + frame.Heartbeat().marshal() * 3,
        ],
    )
    def test_everything_else_is_pikas(self, data: bytes) -> None:
        with pytest.raises(Unknown):
            frames.read(data, 0)


class Spy(Connection):
    """Notes what it hands on, and what pika is given: nothing is sent."""

    def __init__(self) -> None:  # pyright: ignore[reportMissingSuperCall]  # that one connects
        self._frame_buffer = self._rest = b""
        self.bytes_received = 0
        self.said: list[Said] = []
        self.handed_on = 0
        self._channels = {1: SimpleNamespace(is_open=True, _consumers={"c": self._came}, _cancelled=set())}
        self.confirmed = {2: self._confirmed}

    def _came(self, _: object, method: Any, props: Any, body: bytes) -> None:
        self.handed_on += 1
        self.said += frames_of(1, method.delivery_tag, props.message_id, body)

    def _confirmed(self, tag: int, multiple: bool) -> None:
        self.handed_on += 1
        self.said.append((2, "Basic.Ack", tag))

    def _process_frame(self, frame_value: Any) -> None:
        what = frame_value.method.NAME if isinstance(frame_value, frame.Method) else type(frame_value).__name__
        if what == "Header":
            told = frame_value.properties.message_id
        elif what == "Body":
            told = frame_value.fragment
        else:
            told = frame_value.method.delivery_tag if what.startswith("Basic") else None
        self.said.append((frame_value.channel_number, what, told))


Said = tuple[int, str, Any]
"""A frame: its channel, what it is, and what is in it."""
Sent = tuple[bytes, list[Said]]


def frames_of(channel: int, tag: int, id_: str, body: bytes, piece: int = PIECE) -> list[Said]:
    parts = [body[n : n + piece] for n in range(0, len(body), piece)]
    return [(channel, "Basic.Deliver", tag), (channel, "Header", id_), *((channel, "Body", part) for part in parts)]


def sent(consumer: str, channel: int, tag: int, body: bytes, piece: int = PIECE) -> Sent:
    props = BasicProperties(message_id=f"m{tag}", type="t", timestamp=1, headers={}, delivery_mode=2)
    return message(channel, deliver(consumer, tag), props, body, piece), frames_of(channel, tag, f"m{tag}", body, piece)


def confirmed(channel: int, tag: int) -> Sent:
    return frame.Method(channel, spec.Basic.Ack(tag)).marshal(), [(channel, "Basic.Ack", tag)]


streams = st.lists(
    st.one_of(
        st.builds(sent, st.just("c"), st.just(1), tags, bodies),
        st.builds(sent, st.sampled_from(["c", "x"]), st.sampled_from([1, 2, 9]), tags, bodies),  # most have no such consumer or channel
        st.builds(confirmed, st.sampled_from([1, 2]), tags),
        st.just((frame.Heartbeat().marshal(), [(0, "Heartbeat", None)])),
    ),
    max_size=8,
)


def tell(spy: Spy, data: bytes, cuts: Iterable[int]) -> None:
    ends = sorted({cut for cut in cuts if cut < len(data)} | {len(data)})
    for start, end in itertools.pairwise([0, *ends]):
        if end > start:
            spy._on_data_available(data[start:end])


@settings(max_examples=300)
@given(streams, st.lists(st.integers(1, 600), max_size=12))
def test_everything_is_handed_on_once_and_in_order_whatever_pieces_it_comes_in(stream: list[Sent], cuts: list[int]) -> None:
    spy = Spy()
    data = b"".join(some for some, _ in stream)
    tell(spy, data, cuts)
    assert spy.said == [said for _, some in stream for said in some]
    assert spy.bytes_received == len(data), "pika's heartbeat looks at it"


def test_most_of_it_never_reaches_pika() -> None:
    """Not even when a chunk ends in the middle of a message, as nearly every one does."""
    spy = Spy()
    stream = [sent("c", 1, n, bytes(50)) for n in range(1000)] + [confirmed(2, 7)]
    data = b"".join(some for some, _ in stream)
    tell(spy, data, range(0, len(data), 4096))
    assert spy.handed_on == 1001


def test_what_is_too_large_to_be_kept_is_pikas_to_put_together() -> None:
    spy = Spy()
    big, said = sent("c", 1, 1, bytes(4 * KEPT), 100_000)
    after, more = confirmed(2, 4)
    tell(spy, big, range(0, len(big), 65_536))
    tell(spy, after, [])
    assert spy.said == said + more
    assert spy.handed_on == 1, "what follows is not pika's any more"
