"""Broadcasts: LISTEN and NOTIFY."""

from __future__ import annotations

import base64
import logging
import os
import random
import threading
from collections.abc import Callable

from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.bells import PAYLOAD
from tidewheel.backends.postgres.ears import POLL, Ears
from tidewheel.backends.postgres.store import Store
from tidewheel.errors import BrokerError, BrokerUnavailable, ConfigurationError

log = logging.getLogger("tidewheel.postgres")

LONGEST = 5.0
"""Seconds between tries to listen again, at most."""
PIECE = PAYLOAD - 40
LIMIT = 1 << 20
"""Bytes of a message. It is cut into pieces, and all of them wait in the server's memory until the slowest has heard them."""


class Broadcaster:
    """See `tidewheel.contract.Broadcaster`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def send(self, message: bytes) -> int:
        if len(message) > LIMIT:
            raise ConfigurationError(
                f"a broadcast of {len(message):,} bytes; PostgreSQL takes up to {LIMIT:,}: send the name of where it is"
            )
        bells = self._store.bells
        text = base64.b64encode(message).decode()
        name = os.urandom(6).hex()
        cut = [text[at : at + PIECE] for at in range(0, len(text), PIECE)] or [""]
        pieces = [f"{name} {n} {len(cut)} {piece}" for n, piece in enumerate(cut)]
        heard: int = self._store.run(
            "broadcast", [bells.house, bells.broadcast, bells.broadcast_channel, arrays.texts(pieces)], repeat=False
        )[0][0]
        return heard

    def listen(self, heard: Callable[[bytes], None]) -> Callable[[], None]:
        bells = self._store.bells
        ears = Ears(self._store, [bells.broadcast_channel])
        ears.open()
        if not ears.mark([int(bells.broadcast)]):
            ears.close()
            raise BrokerUnavailable(
                f"PostgreSQL at {self._store.address.where}: nobody can listen to broadcasts through a pooler or with listen=off;"
                " name the server itself with ?listen=host:port"
            )
        ended = threading.Event()
        thread = threading.Thread(target=_listen, args=(ears, int(bells.broadcast), heard, ended), name="tidewheel-broadcasts", daemon=True)
        thread.start()

        def end() -> None:
            ended.set()
            ears.alarm.ring()
            if thread is not threading.current_thread():
                thread.join(5)

        return end


def _listen(ears: Ears, place: int, heard: Callable[[bytes], None], ended: threading.Event) -> None:
    pause = 0.05
    pieces: list[str] = []
    while not ended.is_set():
        try:
            ears.open()
            ears.mark([place])
            said, _ = ears.hear(POLL)
            pause = 0.05
        except BrokerError:
            # Whoever else uses the server says that it is away. With jitter, so that not everybody comes back at once.
            ended.wait(pause * (0.5 + random.random()))
            pause = min(LONGEST, pause * 2)
            continue
        for _, text in said:
            _, number, many, piece = text.split(" ", 3)
            # The pieces of one message come one after the other, for they were sent in one transaction.
            pieces = [piece] if number == "0" else [*pieces, piece]
            if len(pieces) != int(many):
                continue
            try:
                heard(base64.b64decode("".join(pieces)))
            except Exception:
                log.exception("a listener for broadcasts failed")
    try:
        ears.mark(())  # the server notices the end of a connection a moment later, and would count it until then
    except BrokerError:
        pass
    ears.close()
