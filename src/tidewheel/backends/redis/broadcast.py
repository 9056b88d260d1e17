"""Broadcasts: Redis's own publish and subscribe."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from tidewheel.backends.redis.ears import POLL, Ears
from tidewheel.backends.redis.store import Store
from tidewheel.errors import BrokerError

log = logging.getLogger("tidewheel.redis")

LONGEST = 5.0
"""Seconds between tries to listen again, at most."""


class Broadcaster:
    """See `tidewheel.contract.Broadcaster`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._channel = f"{store.slot}:broadcast".encode()

    def send(self, message: bytes) -> int:
        heard: int = self._store.command("PUBLISH", self._channel, message)
        return heard

    def listen(self, heard: Callable[[bytes], None]) -> Callable[[], None]:
        ears = Ears(self._store, self._channel)
        ears.open()
        ended = threading.Event()
        thread = threading.Thread(target=_listen, args=(ears, heard, ended), name="tidewheel-broadcasts", daemon=True)
        thread.start()

        def end() -> None:
            ended.set()
            ears.alarm.ring()
            if thread is not threading.current_thread():
                thread.join(5)

        return end


def _listen(ears: Ears, heard: Callable[[bytes], None], ended: threading.Event) -> None:
    pause = 0.05
    while not ended.is_set():
        try:
            ears.open()
            said, _ = ears.hear(POLL)
            pause = 0.05
        except BrokerError:
            # Whoever else uses the server says that it is away. With jitter, so that not everybody comes back at once.
            ended.wait(pause * (0.5 + random.random()))
            pause = min(LONGEST, pause * 2)
            continue
        for message in said:
            try:
                heard(message)
            except Exception:
                log.exception("a listener for broadcasts failed")
    ears.close()
