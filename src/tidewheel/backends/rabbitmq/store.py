"""The namespace on one server: its names, its declarations, and the connection for publishing, which all roles share."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace
from pika import exceptions

from tidewheel.backends import forks
from tidewheel.backends.rabbitmq import listing, topology
from tidewheel.backends.rabbitmq.address import Address
from tidewheel.backends.rabbitmq.faults import DIFFERENT, NOT_FOUND, reply_code, translate
from tidewheel.backends.rabbitmq.link import Answer, Channel, Link
from tidewheel.backends.rabbitmq.message import Message, Meta, properties
from tidewheel.backends.rabbitmq.publisher import Publisher
from tidewheel.backends.rabbitmq.topology import BANDS, LEVELS, LONGEST, Names, band
from tidewheel.errors import BrokerError, BrokerFull, BrokerUnavailable, ConfigurationError, InvalidArguments

OLDEST = (3, 10)
REFUSED = (0.02, 0.08, 0.4)
"""Seconds after which what a queue refused is published again. It refuses when it is full, but also while it has no leader: when another
process has just begun to make it, and while its leader moves.
"""


class Store:
    """Usable from many threads; a forked child makes its own connections."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.names = Names(address.prefix)
        self.closing: list[Callable[[], None]] = []
        """Called at `close`, by roles that opened something of their own."""
        self.version: tuple[int, ...] = ()
        self.server: dict[str, Any] = {}
        self.differ: set[str] = set()
        """Queues that somebody declared with other arguments than ours."""
        self._lock = threading.RLock()
        self._publisher: Publisher | None = None
        self._declared: set[str] = set()
        self._deleted: set[str] = set()
        """Queues that were deleted, as far as we heard. A connection that published to one must not publish to the next of that name:
        what it then publishes is now and then confirmed and lost (decision 0015)."""
        self._steps = -1
        """The highest level of the delay ladder that is known to be there."""
        self._open = False
        self._graves: list[object] = []
        forks.tell(self)

    # -- opening and closing --------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect and check the server. Raises a `BrokerError` that names the mend."""
        self._open = True
        try:
            self.publisher()
        except BaseException:
            self._open = False
            raise

    def close(self) -> None:
        """Close connections. Jobs stay."""
        self._open = False
        while self.closing:
            self.closing.pop()()
        with self._lock:
            publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()

    def publisher(self) -> Publisher:
        """The connection for publishing, made anew when it was lost. Raises `BrokerError`s."""
        ready = self._publisher
        if ready is not None and self._open and not ready.lost:
            return ready
        with self._lock:
            if not self._open:
                raise BrokerUnavailable(f"RabbitMQ at {self.address.where} is not open in this process; was it closed?")
            if self._publisher is None or self._publisher.lost:
                old, self._publisher = self._publisher, None
                if old is not None:
                    old.close()
                    if old.missing:
                        self.forget(self._declared)
                publisher = Publisher(self.address)
                try:
                    self._check(publisher.link)
                except BaseException:
                    publisher.close()
                    raise
                self._publisher = publisher
            return self._publisher

    def _check(self, link: Link) -> None:
        where = f"RabbitMQ at {self.address.where}"
        said = {k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in link.server.items()}
        if said.get("product") != "RabbitMQ":
            raise ConfigurationError(f"what listens at {self.address.where} is {said.get('product') or 'unknown'}, not RabbitMQ")
        version = tuple(int(n) for n in re.findall(r"\d+", str(said.get("version", "")))[:3])
        if version < OLDEST:
            raise ConfigurationError(f"{where} is version {said.get('version')}; 3.10 or newer is needed (Debian 12 has 3.10)")
        if self.version and version != self.version:
            self._declared.clear()
        self.version, self.server = version, said

    # -- asking ---------------------------------------------------------------------------------------------------------

    def command(self, begin: Callable[[Channel, Answer], None]) -> Any:
        """Ask the server something on the connection for publishing. Raises `BrokerError`s."""
        try:
            return self._command(begin)
        except exceptions.AMQPError as error:
            raise translate(error, self.address) from error

    def _command(self, begin: Callable[[Channel, Answer], None]) -> Any:
        for last in (False, True):
            publisher = self.publisher()
            try:
                return publisher.link.command(begin)
            except (BrokerError, exceptions.AMQPError) as error:
                if last or not publisher.lost or reply_code(error):
                    raise
        raise AssertionError

    def depth(self, queue: str) -> int | None:
        """How many messages are ready in a queue of the server's; None: there is no such queue. Raises `BrokerError`s."""
        try:
            answer = self._command(lambda channel, answer: channel.queue_declare(queue, passive=True, callback=answer.give))
        except exceptions.AMQPError as error:
            if reply_code(error) == NOT_FOUND:
                return None
            raise translate(error, self.address) from error
        count: int = answer.method.message_count
        return count

    # -- declaring ------------------------------------------------------------------------------------------------------

    def declare(self, queues: Iterable[str]) -> None:
        """Have these queues, if they are not known to be there. Raises `BrokerError`s."""
        for queue in queues:
            if queue not in self._declared:
                with self._lock:
                    self._declare(queue)
                    self._declared.add(queue)

    def forget(self, queues: Iterable[str]) -> None:
        """Somebody deleted these queues: declare them when they are next used."""
        self._deleted |= set(queues)
        self._declared -= set(queues)
        self._steps = -1

    def queues(self) -> set[str]:
        """Every queue under this prefix. Raises `BrokerError`s."""
        return listing.read(self.address) | self._declared

    def _declare(self, queue: str) -> None:
        names = self.names
        if queue in self._deleted:
            self._deleted.discard(queue)
            old, self._publisher = self._publisher, None
            if old is not None:
                old.close()
        if self.depth(names.jobs(queue, "normal")) is None:
            listing.note(self.address, queue)
        self._exchange(names.due)
        self._queue(names.dead(queue), topology.dead_queue())
        for b in BANDS:
            name = names.jobs(queue, b)
            self._queue(name, topology.job_queue(names, queue, self.address.consumer_timeout))
            self.command(partial(_bind_queue, name, names.due, f"#.{name}"))

    def _ladder(self, level: int) -> None:
        """Have the ladder of delays up to this level."""
        names = self.names
        with self._lock:
            self._exchange(names.due)
            for k in range(self._steps + 1, level + 1):
                name, below = names.delay(k), names.delay(k - 1) if k else names.due
                self._exchange(name)
                self._queue(name, topology.delay_queue(names, k))
                self.command(partial(_bind_queue, name, name, topology.bit(k, 1)))
                self.command(partial(_bind_exchange, below, name, topology.bit(k, 0)))
                self._steps = k

    def _exchange(self, name: str) -> None:
        self.command(lambda ch, answer: ch.exchange_declare(name, "topic", durable=True, callback=answer.give))

    def _queue(self, name: str, arguments: topology.Arguments) -> None:
        try:
            self._command(lambda ch, answer: ch.queue_declare(name, durable=True, arguments=arguments, callback=answer.give))
        except exceptions.AMQPError as error:
            if reply_code(error) != DIFFERENT:
                raise translate(error, self.address) from error
            self.differ.add(name)  # it is there, and what it holds is ours: use it as it is, and let `describe` tell

    # -- publishing -----------------------------------------------------------------------------------------------------

    def message(self, id_: str, task: str, meta: Meta, body: bytes, wait: float) -> Message:
        """A job as a message that becomes ready after `wait` seconds. Raises `InvalidArguments`."""
        whole, rest = divmod(wait, 1.0) if wait > 0 else (0.0, 0.0)
        if whole > LONGEST:
            raise InvalidArguments(
                f"job {id_} ({task}): a delay of {wait:g} seconds is too long for RabbitMQ: {LONGEST} at most (8.5 years)"
            )
        if rest or meta.rest:
            meta = replace(meta, rest=rest)
        destination = self.names.jobs(meta.queue, band(meta.priority))
        exchange, key = self.names.step(int(whole), destination) if whole else ("", destination)
        return Message(id_, key, body, properties(id_, task, meta), exchange)

    def publish(self, messages: Sequence[Message], queues: Iterable[str]) -> None:
        """Publish to these queues, confirmed. Raises `BrokerError`s."""
        if not messages:
            return
        self.prepare(messages, queues)
        batch = self.publisher().publish(messages)
        if batch.error is not None and not batch.sent and not isinstance(batch.error, BrokerFull):
            batch = self.publisher().publish(messages)  # nothing was sent on a connection that turned out to be dead
        for pause in REFUSED:
            if batch.error is not None or not batch.refused:
                break
            time.sleep(pause)
            batch.tried_again(self.publisher().publish([messages[n] for n in sorted(batch.refused)]))
        batch.check()
        if batch.returned:
            # Somebody deleted the queue under us, or a worker's whole server was reset.
            self.forget(queues)
            rest = [m for n, m in enumerate(messages) if n in batch.returned]
            self.prepare(messages, queues)
            batch = self.publisher().publish(rest)
            batch.check()
            if batch.returned:
                lost = rest[min(batch.returned)]
                raise BrokerUnavailable(f"RabbitMQ at {self.address.where} has no queue for {lost.key!r}, and making it did not help")

    def prepare(self, messages: Sequence[Message], queues: Iterable[str]) -> None:
        """Have what these messages need on their way."""
        self.publisher()  # a new one may have found out that something is missing
        self.declare(queues)
        if delayed := [m for m in messages if m.exchange]:
            level = max(LEVELS - 1 - m.key.replace(".", "").index("1") for m in delayed)
            if level > self._steps:
                self._ladder(level)

    # -- forks ----------------------------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        # What the parent's threads were doing is not known. Its connections are kept from being collected: closing one would say goodbye.
        self._graves += [self._publisher, *self.closing]
        self._publisher = None
        self.closing = []
        self._lock = threading.RLock()


def _bind_queue(queue: str, exchange: str, pattern: str, channel: Channel, answer: Answer) -> None:
    channel.queue_bind(queue, exchange, pattern, callback=answer.give)


def _bind_exchange(destination: str, source: str, pattern: str, channel: Channel, answer: Answer) -> None:
    channel.exchange_bind(destination, source, pattern, callback=answer.give)


def clock() -> float:
    """RabbitMQ has no clock that could be asked: this machine's."""
    return time.time()
