"""Broadcasts: a fanout exchange, and for each listener a queue that lives as long as its connection.

A fanout does not tell how many queues it reached. So every listener also consumes from a queue that never holds anything: how many
consumers a queue has, the server does tell.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Any

from pika import exceptions

from tidewheel.backends.rabbitmq import frames
from tidewheel.backends.rabbitmq.address import Address
from tidewheel.backends.rabbitmq.faults import translate
from tidewheel.backends.rabbitmq.link import Answer, Link
from tidewheel.backends.rabbitmq.message import Message
from tidewheel.backends.rabbitmq.store import Store
from tidewheel.backends.rabbitmq.topology import Names
from tidewheel.errors import BrokerError
from tidewheel.ids import incarnation

log = logging.getLogger("tidewheel.rabbitmq")

LONGEST = 5.0
"""Seconds between tries to listen again, at most."""
COUNTED = {"x-queue-type": "quorum"}


class Broadcaster:
    """See `tidewheel.contract.Broadcaster`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def send(self, message: bytes) -> int:
        names = self._store.names

        def count(channel: Any, answer: Answer) -> None:
            channel.exchange_declare(names.broadcast, "fanout", durable=True)
            channel.queue_declare(names.listeners, durable=True, arguments=COUNTED, callback=answer.give)

        listeners: int = self._store.command(count).method.consumer_count
        said = Message("broadcast", "broadcast", message, frames.properties("broadcast", "broadcast", 0, {}), names.broadcast)
        batch = self._store.publisher().publish([said])
        if batch.error is not None:
            raise batch.error
        return listeners

    def listen(self, heard: Callable[[bytes], None]) -> Callable[[], None]:
        ears = Ears(self._store.address, heard)
        ears.open()
        threading.Thread(target=ears.keep, name="tidewheel-broadcasts", daemon=True).start()
        self._store.closing.append(ears.end)

        def end() -> None:
            ears.end()
            if ears.end in self._store.closing:
                self._store.closing.remove(ears.end)

        return end


class Ears:
    """One listener, over as many connections as it takes."""

    def __init__(self, address: Address, heard: Callable[[bytes], None]) -> None:
        self._address = address
        self._names = Names(address.prefix)
        self._heard = heard
        self._link: Link | None = None
        self._change = threading.Event()
        self._ended = False

    def open(self) -> None:
        """Listen. Raises `BrokerError`s."""
        link = Link(self._address, "listener", lambda _: self._change.set())
        try:
            link.command(self._consume)
        except (BrokerError, exceptions.AMQPError) as error:
            link.drop()
            raise translate(error, self._address) from error
        self._link = link

    def _consume(self, channel: Any, answer: Answer) -> None:
        names = self._names

        def made(frame: Any) -> None:
            queue = frame.method.queue
            channel.queue_bind(queue, names.broadcast, "")
            channel.basic_consume(queue, self._came, auto_ack=True)
            channel.basic_consume(names.listeners, lambda *_: None, callback=answer.give)

        channel.exchange_declare(names.broadcast, "fanout", durable=True)
        channel.queue_declare(names.listeners, durable=True, arguments=COUNTED)
        # With a name under our prefix, so that nobody needs permissions for those that the server makes up.
        channel.queue_declare(f"{names.listeners}/{incarnation()}", exclusive=True, auto_delete=True, callback=made)

    def _came(self, _: Any, __: Any, ___: Any, body: bytes) -> None:
        try:
            self._heard(body)
        except Exception:
            log.exception("a listener for broadcasts failed")

    def keep(self) -> None:
        """Listen again whenever the connection has ended."""
        pause = 0.05
        while True:
            self._change.wait()
            self._change.clear()
            if self._ended:
                return
            try:
                self.open()
                pause = 0.05
            except BrokerError:
                # Whoever else uses the server says that it is away. With jitter, so that not everybody comes back at once.
                self._change.clear()
                self._change.wait(pause * (0.5 + random.random()))
                self._change.set()
                pause = min(LONGEST, pause * 2)

    def end(self) -> None:
        self._ended = True
        link, self._link = self._link, None
        self._change.set()
        if link is not None:
            try:
                link.command(self._cancel)  # from here on it is counted no more
            except (BrokerError, exceptions.AMQPError):
                pass
            link.close()

    def _cancel(self, channel: Any, answer: Answer) -> None:
        tags = list(channel.consumer_tags)
        for tag in tags[:-1]:
            channel.basic_cancel(tag, callback=lambda _: None)
        channel.basic_cancel(tags[-1], callback=answer.give)
