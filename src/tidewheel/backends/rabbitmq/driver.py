"""pika's connection, so that a thread which is about to wait for the server may write to it by itself, and with the frames of jobs read and
written by `frames`.

pika lets one thread drive a connection. While that one waits for something to read, which is nearly always, another may have its turn: what
it wants to say is on its way without waking a thread first, and whole instead of frame by frame. That is a third of a publication's time
in this process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop

from tidewheel.backends.rabbitmq import frames
from tidewheel.backends.rabbitmq.frames import Confirmation, Partial, Unknown

log = logging.getLogger("tidewheel.rabbitmq")

CHUNK = 1 << 16
"""Bytes that are read at once."""
KEPT = 1 << 17
"""Bytes of a message that is not all there which are looked at again when more have come. Beyond that pika puts it together: it takes each
frame as it comes, and whether anything has come is what its heartbeat looks at."""


class Loop(IOLoop):  # type: ignore[misc]  # pika has no types for a checker
    """Calls back only with `turn` held: who has that may use the connection."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self.readers: dict[int, Callable[[], bool]] = {}
        """Who reads from a socket by itself; whether it could."""
        super().__init__()

    def add_handler(self, fd: int, handler: Callable[[int, int], None], events: int) -> None:
        super().add_handler(fd, partial(self._handle, handler), events)

    def _handle(self, handler: Callable[[int, int], None], fd: int, events: int) -> None:
        with self.turn:
            read = self.readers.get(fd)
            if read is None or events != self.READ or not read():
                handler(fd, events)

    def process_timeouts(self) -> None:
        with self.turn:
            super().process_timeouts()


class Connection(pika.SelectConnection):  # type: ignore[misc]
    """Sends at once what the socket takes at once."""

    # Of pika's, which has no types for a checker.
    _transport: Any
    _channels: dict[int, Any]
    _frame_buffer: bytes
    _body_max_length: int

    def __init__(self, parameters: pika.ConnectionParameters, loop: Loop, **callbacks: Callable[..., object]) -> None:
        super().__init__(parameters, custom_ioloop=loop, **callbacks)  # pyright: ignore[reportArgumentType]
        self._loop = loop
        self._plain = parameters.ssl_options is None
        self._rest = b""
        """The beginning of a message."""
        self.confirmed: dict[int, Callable[[int, bool], None]] = {}
        """By channel: what is told that all publications until this one, or this one alone, are confirmed."""
        if self._plain:
            self.add_on_open_callback(self._read_by_itself)

    @property
    def piece(self) -> int:
        """The most bytes of a body that fit into a frame."""
        return self._body_max_length

    def _read_by_itself(self, _: object) -> None:
        self._loop.readers[self._transport._sock.fileno()] = self._receive

    def _receive(self) -> bool:
        """Hand on what has come; without the dozen calls that pika has between its loop and that. If it is the end, pika is to say so."""
        transport = self._transport
        try:
            data = transport._sock.recv(CHUNK)
        except OSError:
            return False
        if not data:
            return False
        try:
            self._on_data_available(data)
        except Exception as error:
            log.exception("reading from a connection to RabbitMQ failed")
            transport._initiate_abort(error)  # as pika does
        return True

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        # pika sends each frame by itself, and the server would be woken for each.
        self.send(b"".join(marshaled_frames))

    def send(self, data: bytes) -> None:
        """Whole frames. In the loop's turn."""
        self.bytes_sent += len(data)
        self._adapter_emit_data(data)

    def _adapter_emit_data(self, data: bytes) -> None:
        transport = self._transport
        if self._plain and not transport.get_write_buffer_size():
            try:
                data = data[transport._sock.send(data) :]
            except (OSError, AttributeError):
                pass  # it is full, or over: the loop will see
        if data:
            super()._adapter_emit_data(data)  # pyright: ignore[reportAttributeAccessIssue]
            self._loop.add_callback_threadsafe(_nothing)  # it may be another thread's turn, and the loop has to watch something more

    def _on_data_available(self, data_in: bytes) -> None:
        if not self._frame_buffer:
            data_in = self._read(self._rest + data_in if self._rest else data_in)
        if data_in:
            super()._on_data_available(data_in)  # pyright: ignore[reportAttributeAccessIssue]

    def _read(self, data: bytes) -> bytes:
        """Hand on what `frames` knows. Answers what pika is to go on with."""
        at, self._rest = 0, b""
        while at < len(data):
            try:
                found, end = frames.read(data, at)
            except Partial:
                if len(data) - at > KEPT:
                    break
                self._rest = data[at:]
                return b""
            except Unknown:
                break
            if not self._hand_on(found):
                break
            self.bytes_received += end - at
            at = end
        return data[at:] if at else data

    def _hand_on(self, found: frames.Delivery | Confirmation) -> bool:
        """Whether somebody waits for it."""
        if isinstance(found, Confirmation):
            told = self.confirmed.get(found.channel)
            if told is not None:
                told(found.tag, found.multiple)
            return told is not None
        channel = self._channels.get(found.channel)
        if channel is None or not channel.is_open:
            return False
        came = channel._consumers.get(found.method.consumer_tag)
        if came is None or found.method.consumer_tag in channel._cancelled:
            return False
        came(channel, found.method, found.properties, found.body)
        return True


def _nothing() -> None:
    pass
