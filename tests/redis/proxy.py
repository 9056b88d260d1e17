"""A TCP proxy that does to connections what networks do: cuts them, swallows answers, swallows everything."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from typing import Literal

Mode = Literal["pass", "mute", "hole"]
"""`pass`: everything goes through. `mute`: questions do, answers vanish. `hole`: both vanish; also the first packets of new connections."""


class Proxy:
    """Between a client and `port` of this machine. One thread."""

    def __init__(self, port: int) -> None:
        self.mode: Mode = "pass"
        self.requests = 0
        self._target = port
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._plan: tuple[bytes, Callable[[], bool]] | None = None
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stopping = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def when(self, text: bytes, do: Callable[[], bool]) -> None:
        """Once, when a question with this text comes by, call `do`; it goes on to the server if that answers True."""
        with self._lock:
            self._plan = (text, do)

    def cut(self) -> None:
        """End every connection."""
        with self._lock:
            for client in list(self._clients):
                self._drop(client)

    def swallow_answer_and_cut(self) -> bool:
        """For `when`: the question arrives and is obeyed; instead of its answer comes the end of the connection."""
        self.mode = "mute"
        self._cut_at_answer = True
        return True

    def cut_before(self) -> bool:
        """For `when`: the question never arrives."""
        self.cut()
        return False

    def mute(self) -> bool:
        """For `when`: the question arrives and is obeyed; there is no answer, and no end."""
        self.mode = "mute"
        return True

    def hole(self) -> bool:
        """For `when`: the question never arrives, and there is no end."""
        self.mode = "hole"
        return False

    _cut_at_answer = False

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                with self._lock:
                    if sock is self._listener:
                        self._accept()
                    elif sock in self._pairs:
                        self._forward(sock)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), 1)
        except OSError:
            client.close()
            return
        self._clients.add(client)
        for one, other in ((client, server), (server, client)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self._drop(sock)
            return
        asks = sock in self._clients
        if asks:
            self.requests += 1
            if self._plan is not None and self._plan[0] in data:
                _, do = self._plan
                self._plan = None
                if not do():
                    return
        elif self._cut_at_answer:
            self._cut_at_answer = False
            self.mode = "pass"
            self._drop(sock)
            return
        if self.mode == "hole" or (self.mode == "mute" and not asks):
            return
        try:
            self._pairs[sock].sendall(data)
        except OSError:
            self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        other = self._pairs.pop(sock, None)
        for one in (sock, other):
            if one is None:
                continue
            self._pairs.pop(one, None)
            self._clients.discard(one)
            try:
                self._selector.unregister(one)
            except KeyError:
                pass
            one.close()

    def close(self) -> None:
        self._stopping = True
        self._thread.join(5)
        self.cut()
        self._listener.close()
        self._selector.close()
