"""The worker's end of one executor's socket. Writing never blocks: what the kernel does not take at once waits here for the hub.

(If it blocked, a worker that writes jobs and an executor that writes outcomes could both wait for the other to read.)
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tidewheel.worker.frames import CHUNK, Decoder, ToWorker, frame


class Link:
    """`send` from any thread; `read` and `flush` from the hub."""

    def __init__(self, number: int, sock: socket.socket, blocked: Callable[[Link], None]) -> None:
        self.number = number
        self.sock = sock
        self.open = True
        sock.setblocking(False)
        self._blocked = blocked
        self._lock = threading.Lock()
        self._out = bytearray()
        self._decoder = Decoder(ToWorker)

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, messages: Sequence[Any]) -> None:
        """Hand over messages. To an executor that is gone it does nothing: the hub is about to read that."""
        data = frame(messages)
        with self._lock:
            if not self.open:
                return
            if not self._out:
                try:
                    sent = self.sock.send(data)
                except (BlockingIOError, InterruptedError):
                    sent = 0
                except OSError:
                    return
                if sent == len(data):
                    return
                data = data[sent:]
            self._out += data
        self._blocked(self)

    def flush(self) -> bool:
        """Write on. True when nothing is left to write."""
        with self._lock:
            while self._out and self.open:
                try:
                    del self._out[: self.sock.send(self._out)]
                except (BlockingIOError, InterruptedError):
                    return False
                except OSError:
                    self._out.clear()
            return True

    def read(self) -> Iterator[Any]:
        """Everything that can be read now. Sets `open` to False at the end, which `ECONNRESET` means as well."""
        while True:
            try:
                data = self.sock.recv(CHUNK)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            if not data:
                self.open = False
                return
            yield from self._decoder.feed(data)
            if len(data) < CHUNK:
                return

    def close(self) -> None:
        with self._lock:
            self.open = False
            self.sock.close()
