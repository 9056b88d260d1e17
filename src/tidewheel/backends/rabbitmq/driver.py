"""pika's connection, so that a thread which is about to wait for the server may write to it by itself.

pika lets one thread drive a connection. While that one waits for something to read, which is nearly always, another may have its turn: what
it wants to say is on its way without waking a thread first, and whole instead of frame by frame. That is a third of a publication's time
in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop


class Loop(IOLoop):  # type: ignore[misc]  # pika has no types for a checker
    """Calls back only with `turn` held."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        super().__init__()

    def add_handler(self, fd: int, handler: Callable[[int, int], None], events: int) -> None:
        super().add_handler(fd, partial(self._handle, handler), events)

    def _handle(self, handler: Callable[[int, int], None], fd: int, events: int) -> None:
        with self.turn:
            handler(fd, events)

    def process_timeouts(self) -> None:
        with self.turn:
            super().process_timeouts()

    def call(self, callback: Callable[[], None]) -> bool:
        """Call it here and now, unless the loop's own thread has its turn; whether that was done."""
        if not self.turn.acquire(blocking=False):
            return False
        try:
            callback()
        finally:
            self.turn.release()
        return True


class Connection(pika.SelectConnection):  # type: ignore[misc]
    """Sends at once what the socket takes at once."""

    def __init__(self, parameters: pika.ConnectionParameters, loop: Loop, **callbacks: Callable[..., object]) -> None:
        super().__init__(parameters, custom_ioloop=loop, **callbacks)  # pyright: ignore[reportArgumentType]
        self._loop = loop
        self._plain = parameters.ssl_options is None

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        # pika sends each frame by itself, and the server would be woken for each.
        data = b"".join(marshaled_frames)
        self.bytes_sent += len(data)
        self.frames_sent += len(marshaled_frames)
        self._adapter_emit_data(data)

    def _adapter_emit_data(self, data: bytes) -> None:
        transport: Any = self._transport  # pyright: ignore[reportAttributeAccessIssue]
        if self._plain and not transport.get_write_buffer_size():
            try:
                data = data[transport._sock.send(data) :]
            except (OSError, AttributeError):
                pass  # it is full, or over: the loop will see
        if data:
            super()._adapter_emit_data(data)  # pyright: ignore[reportAttributeAccessIssue]
            self._loop.add_callback_threadsafe(_nothing)  # it may be another thread's turn, and the loop has to watch something more


def _nothing() -> None:
    pass
