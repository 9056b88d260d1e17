"""Broadcasts on Redis: to real workers, and after the server was away."""

from __future__ import annotations

import queue

from redis_server import Server
from rig import until

from tidewheel.backends.redis import connect
from tidewheel.errors import BrokerError


def test_who_listens_hears_again_after_the_server_was_away(server: Server) -> None:
    backend = connect(server.url)
    backend.broker.open()
    speaker = backend.broadcaster
    assert speaker is not None
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    end = speaker.listen(heard.put)
    assert speaker.send(b"before") == 1
    assert heard.get(timeout=5) == b"before"
    server.kill()
    server.start()

    def again() -> bool:
        try:
            return speaker.send(b"after") == 1
        except BrokerError:
            return False

    until("it listens again", again, 20)
    assert heard.get(timeout=5) == b"after"
    end()
    assert speaker.send(b"late") == 0
    backend.broker.close()


def test_a_listener_that_fails_hears_the_next(server: Server) -> None:
    backend = connect(server.url)
    backend.broker.open()
    speaker = backend.broadcaster
    assert speaker is not None
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listener(message: bytes) -> None:
        heard.put(message)
        raise ValueError(message)

    end = speaker.listen(listener)
    speaker.send(b"one")
    speaker.send(b"two")
    assert [heard.get(timeout=5) for _ in range(2)] == [b"one", b"two"]
    end()
    backend.broker.close()
