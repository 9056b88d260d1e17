"""The RabbitMQ engine for the conformance suite."""

from __future__ import annotations

from functools import partial
from typing import Any

from rig import until

from tidewheel.backends.rabbitmq import wire
from tidewheel.backends.rabbitmq.address import parse
from tidewheel.backends.rabbitmq.consumer import Consumer as RabbitConsumer
from tidewheel.backends.rabbitmq.store import Store
from tidewheel.backends.rabbitmq.topology import BANDS
from tidewheel.contract import Backend, Consumer, Swept
from tidewheel.testing.conformance import Harness


class RabbitHarness(Harness):
    """On the real clock: nobody can shift the server's."""

    tick = 0.5
    """Delays of a second and more go through the ladder, which counts in seconds."""
    virtual = False
    looks_up = counts_all = sweeps = levels = atomic = False

    def __init__(self, url: str) -> None:
        self.url = url
        self._stores: list[Store] = []

    def prepare(self) -> None:
        """Make the usual queue beforehand: that takes a while, and short delays run meanwhile."""
        backend = self.connect()
        backend.broker.open()
        self._stores[-1].declare(["default"])
        backend.broker.close()

    def connect(self) -> Backend:
        store = Store(parse(self.url))
        self._stores.append(store)
        return wire(store)

    def kill(self, consumer: Consumer) -> None:
        """Its connection ends without a goodbye, and the server has noticed."""
        assert isinstance(consumer, RabbitConsumer)
        session = consumer._session
        held: dict[str, int] = {}
        for h in session.outstanding():
            name = session._store.names.jobs(*h.tap.source)
            held[name] = held.get(name, 0) + 1
        before = {name: session._store.depth(name) or 0 for name in held}
        session.link.drop()
        for name, count in held.items():
            until(
                f"the server has noticed that the connection is gone: {name}",
                lambda name=name, count=count: (session._store.depth(name) or 0) >= before[name] + count,
                10,
            )

    def recover(self, backend: Backend) -> Swept:
        """The server has done it already."""
        return backend.broker.sweep()

    def close(self) -> None:
        cleaner = self._stores[0]
        made = [cleaner.names.jobs(q, b) for store in self._stores for q in store._declared for b in BANDS]
        made += [cleaner.names.dead(q) for store in self._stores for q in store._declared]
        if made:
            cleaner.open()
            for name in dict.fromkeys([*made, cleaner.names.queues]):
                cleaner.command(partial(_delete, name))
            cleaner.close()


def _delete(queue: str, channel: Any, answer: Any) -> None:
    channel.queue_delete(queue, callback=answer.give)
