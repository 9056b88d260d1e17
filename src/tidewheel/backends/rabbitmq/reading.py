"""A look at dead letters: the server shows a message only to whoever is given it, so all of a queue are taken, and given back at the end.

Meanwhile nobody else would see them, so those who look take turns: each has, for that long, a queue that only one connection may have.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from pika import exceptions

from tidewheel.backends.rabbitmq import letters
from tidewheel.backends.rabbitmq.faults import LOCKED, reply_code, translate
from tidewheel.backends.rabbitmq.letters import Letter
from tidewheel.backends.rabbitmq.link import Answer, Channel, Link
from tidewheel.backends.rabbitmq.store import Store
from tidewheel.errors import BrokerError, BrokerUnavailable

TURN = 30.0
"""Seconds for which somebody waits for their turn."""
SILENCE = 10.0
"""Seconds without a letter after which no more are expected; and those within which letters that were given back are there again."""
MOST = 50_000
"""The largest prefetch of a consumer."""
AT_ONCE = 16
"""Acknowledgements that may be under way. Beyond some 32 the server's channel forgets them when it ends (decision 0015)."""


@contextmanager
def reading(store: Store) -> Iterator[Reading]:
    """Have the turn. Raises `BrokerError`s."""
    session = Reading(store)
    try:
        session.take_turn()
        yield session
    except exceptions.AMQPError as error:
        raise translate(error, store.address) from error
    finally:
        session.close()


class Reading:
    """One connection that has the turn."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._tags: list[int] = []
        """Of the letters that are with us, all of one queue."""
        self._link = Link(store.address, "dead letters", self._lost)

    def _lost(self, _: BrokerError) -> None:
        with self._changed:
            self._changed.notify_all()

    def take_turn(self) -> None:
        """Wait until nobody else looks."""
        names, server = self._store.names, f"RabbitMQ at {self._store.address.where}"
        deadline = time.monotonic() + TURN
        while True:
            try:
                self._link.command(lambda ch, answer: ch.queue_declare(names.reader, exclusive=True, callback=answer.give))
                return
            except exceptions.AMQPError as error:
                if reply_code(error) != LOCKED:
                    raise
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"somebody else has been looking at the dead letters of {server} for {TURN:g} s; try again")
            time.sleep(0.05)

    def close(self) -> None:
        self._link.close()

    @contextmanager
    def hold(self, queue: str, seen: Callable[[Letter, int], None]) -> Iterator[set[int]]:
        """Have all letters of a queue for as long as the block lasts. Those whose tags it puts into the set are taken away at its end, the
        others are back where they were: all of them if it raises.

        `seen` is called with each and its tag, in the connection's thread, and must not raise.
        """
        name, taken = self._store.names.dead(queue), set[int]()
        try:
            self._take(name, partial(letters.read, queue), seen)
            yield taken
        except BaseException:
            if self._link.error is None:  # otherwise the server does it
                self._release(name, set())
            raise
        self._release(name, taken)

    def _take(self, name: str, read: Callable[[Any, bytes], Letter], seen: Callable[[Letter, int], None]) -> None:
        waiting = self._store.depth(name)
        if not waiting:
            return
        consumers: list[str] = []

        def came(_: Channel, method: Any, props: Any, body: bytes) -> None:
            seen(read(props, body), method.delivery_tag)
            with self._changed:
                self._tags.append(method.delivery_tag)
                self._changed.notify_all()

        def begin(channel: Channel, answer: Answer) -> None:
            channel.basic_qos(prefetch_count=MOST)
            consumers.extend(channel.basic_consume(name, came, callback=answer.give) for _ in range(waiting // MOST + 1))

        self._link.command(begin)
        try:
            self._wait(name, waiting)
        finally:
            if self._link.error is None:
                self._link.command(partial(_end, consumers))  # or what is given back would be given to us again

    def _wait(self, name: str, waiting: int) -> None:
        """Until all have come."""
        with self._changed:
            while len(self._tags) < waiting and self._link.error is None and self._changed.wait(SILENCE):
                pass
            if self._link.error is not None:
                raise self._link.error
            missing = len(self._tags) < waiting
        if missing and self._store.depth(name):  # if there are none, they have become too old meanwhile
            raise BrokerUnavailable(f"RabbitMQ at {self._store.address.where} does not hand out what it has in {name}; try again")

    def _release(self, name: str, taken: set[int]) -> None:
        """Acknowledge these and give the others back, in as few words as possible. Returns when whoever looks next finds it so."""
        runs = [list(run) for _, run in itertools.groupby(self._tags, taken.__contains__)]
        back = 0
        for start in range(0, len(runs), AT_ONCE):
            some = runs[start : start + AT_ONCE]
            self._link.command(partial(_settle, [(run[-1], run[-1] in taken) for run in some]))
            back += sum(len(run) for run in some if run[-1] not in taken)
            self._until_back(name, back)
        self._tags.clear()

    def _until_back(self, name: str, count: int) -> None:
        deadline = time.monotonic() + SILENCE
        while count and (self._store.depth(name) or 0) < count and time.monotonic() < deadline:
            time.sleep(0.005)


def _settle(runs: Sequence[tuple[int, bool]], channel: Channel, answer: Answer) -> None:
    """Runs of letters, each by its last tag, and whether they are taken away."""
    for tag, taken in runs:
        if taken:
            channel.basic_ack(tag, multiple=True)
        else:
            channel.basic_nack(tag, multiple=True, requeue=True)
    channel.basic_qos(prefetch_count=MOST, callback=answer.give)  # its answer says that the others have arrived


def _end(consumers: Sequence[str], channel: Channel, answer: Answer) -> None:
    for tag in consumers[:-1]:
        channel.basic_cancel(tag)
    channel.basic_cancel(consumers[-1], callback=answer.give)
