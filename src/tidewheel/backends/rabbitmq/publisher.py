"""Confirmed publishing on one connection: bursts with one wait.

The caller hands a batch over and waits. The connection's thread writes at most `WINDOW` messages ahead of the server's confirmations, so
that little is in doubt when something breaks, and none while the server has said that it takes none (an alarm).

    not sent         withdrawn whenever the caller gives up: nothing was stored
    sent             in doubt until the server has answered for it
    confirmed        stored
    refused          the queue is full, or has no leader just now: not stored
    returned         there is no such queue: not stored
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from tidewheel.backends.rabbitmq import frames
from tidewheel.backends.rabbitmq.address import Address
from tidewheel.backends.rabbitmq.faults import NOT_FOUND, reply_code, translate
from tidewheel.backends.rabbitmq.link import Link
from tidewheel.backends.rabbitmq.message import Message
from tidewheel.errors import BrokerError, BrokerFull, BrokerUnavailable, PublishUnknown

WINDOW = 2000
AT_ONCE = 1 << 16
"""Bytes that are handed to the connection in one."""
ALARM = 2.0
"""Seconds for which a publication that is in doubt waits for an alarm to end."""


class Batch:
    """What came of some messages, which are published together."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.sent = 0
        self.confirmed: set[int] = set()
        self.refused: set[int] = set()
        self.returned: set[int] = set()
        self.error: BrokerError | None = None
        """Why the rest will not be known."""
        self._open = threading.Lock()  # an Event is made of five objects, and takes three times as long
        self._open.acquire()
        self._over = False

    @property
    def answered(self) -> int:
        return len(self.confirmed) + len(self.refused) + len(self.returned)

    def wait(self, seconds: float) -> bool:
        """For the one who waits for its end: whether that has come."""
        return self._over or self._open.acquire(timeout=seconds)

    def finish(self, error: BrokerError | None = None) -> None:
        if self._over:
            return
        self.error = error
        self._over = True
        try:
            self._open.release()
        except RuntimeError:
            pass  # whoever waited gave up at the same moment

    def tried_again(self, other: Batch) -> None:
        """`other` were those that are refused here, in their order: what came of them then."""
        numbers = sorted(self.refused)
        self.confirmed.update(numbers[n] for n in other.confirmed)
        self.returned.update(numbers[n] for n in other.returned)
        self.refused = {numbers[n] for n in other.refused} | {numbers[n] for n in range(other.sent, len(numbers))}
        self.error = other.error

    def check(self) -> None:
        """Raise unless every message is confirmed or was returned."""
        whole = self.answered == len(self.messages)
        if self.error is None and whole and not self.refused:
            return
        ids = tuple(m.id for n, m in enumerate(self.messages) if n not in self.confirmed)
        error = self.error or BrokerFull("the queue refuses more messages: it has reached its maximum length; let the workers drain it")
        doubtful = self.sent > self.answered or self.confirmed
        if doubtful:
            raise PublishUnknown(
                f"{error}; {len(ids)} of {len(self.messages)} jobs may not be stored: publish the same ids again", ids
            ) from error
        raise error


class Publisher:
    """A connection for publishing. Usable from many threads until it is `lost`."""

    def __init__(self, address: Address) -> None:
        """Connect. Raises `BrokerError`s."""
        self._address = address
        self._lock = threading.Lock()
        self._queue: deque[Batch] = deque()
        self._unconfirmed: dict[int, tuple[Batch, int]] = {}
        self._tag = 0
        self._gone: set[tuple[str, str]] = set()
        """Messages that came back, whose confirmation is about to follow."""
        self._channel: Any = None
        self._error: BrokerError | None = None
        self.missing = False
        """Whether it was lost because something that should be there is not."""
        self.link = Link(address, "publisher", self._lost)
        try:
            self._channel = self.link.channel(self._channel_lost)
            self._channel.add_on_return_callback(self._on_return)
            self.link.ask(lambda answer: self._channel.confirm_delivery(self._on_confirm, callback=answer.give))
            self.link.confirmed(self._channel, self._confirmed)
        except BaseException as error:
            self.link.drop()
            if isinstance(error, Exception):
                raise translate(error, address) from error
            raise
        self.link.unblocked = self._pump

    @property
    def lost(self) -> bool:
        return self._error is not None or self.link.error is not None

    def submit(self, batch: Batch) -> None:
        """Have a batch published; it tells when it is over."""
        with self._lock:
            error = self._error or self.link.error
            if error is None:
                self._queue.append(batch)
        if error is not None:
            batch.finish(error)
        else:
            self.link.call(self._pump)

    def publish(self, messages: Sequence[Message]) -> Batch:
        """Publish, and wait for what comes of it, at most `confirm_timeout` seconds. Raises nothing; the batch tells."""
        batch = Batch(messages)
        if self.link.blocked is not None:
            batch.finish(self._full(self.link.blocked))
            return batch
        self.submit(batch)
        deadline = time.monotonic() + self._address.confirm_timeout + len(messages) / WINDOW
        while not batch.wait(max(0.0, min(ALARM, deadline - time.monotonic()))):
            if self.link.blocked is not None:
                self._withdraw(batch, self._full(self.link.blocked))
            elif time.monotonic() >= deadline:
                late = f"RabbitMQ at {self._address.where} has not confirmed in {self._address.confirm_timeout:g} seconds"
                self._withdraw(batch, BrokerUnavailable(late))
                self.link.drop()  # whoever publishes next shall not stand behind it
        return batch

    def close(self) -> None:
        self.link.close()

    def _full(self, alarm: str) -> BrokerFull:
        where = self._address.where
        return BrokerFull(
            f"RabbitMQ at {where} takes no jobs: {alarm} (an alarm); give it memory or disk, or let the workers drain the queues"
        )

    def _withdraw(self, batch: Batch, error: BrokerError) -> None:
        with self._lock:
            try:
                self._queue.remove(batch)
            except ValueError:
                pass
        batch.finish(error)

    # -- in the connection's thread -------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Write what may be written."""
        channel: Any = self._channel
        number, piece = channel.channel_number, self.link.piece
        while self.link.blocked is None and len(self._unconfirmed) < WINDOW:
            with self._lock:
                if not self._queue or self._error is not None:
                    return
                batch = self._queue[0]
                start = batch.sent
                batch.sent = end = min(len(batch.messages), start + WINDOW - len(self._unconfirmed))
                if end == len(batch.messages):
                    self._queue.popleft()
            data, size = list[bytes](), 0
            for n in range(start, end):
                m = batch.messages[n]
                self._tag += 1
                self._unconfirmed[self._tag] = (batch, n)
                data.append(frames.publication(number, m.exchange, m.key, m.properties, m.body, piece))
                size += len(data[-1])
                if size > AT_ONCE:
                    self.link.send(channel, b"".join(data))
                    data, size = [], 0
            if data:
                self.link.send(channel, data[0] if len(data) == 1 else b"".join(data))

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        self._answered(method.delivery_tag, method.multiple, method.NAME == "Basic.Ack")

    def _confirmed(self, tag: int, multiple: bool) -> None:
        self._answered(tag, multiple, True)

    def _answered(self, tag: int, multiple: bool, fine: bool) -> None:
        if multiple:
            tags = []
            for t in self._unconfirmed:  # in the order in which they were sent
                if t > tag:
                    break
                tags.append(t)
        else:
            tags = [tag]
        for t in tags:
            found = self._unconfirmed.pop(t, None)
            if found is None:
                continue
            batch, n = found
            message = batch.messages[n]
            if self._gone and (message.id, message.key) in self._gone:
                self._gone.discard((message.id, message.key))
                batch.returned.add(n)
            else:
                (batch.confirmed if fine else batch.refused).add(n)
            if batch.answered == len(batch.messages):
                batch.finish()
        if self._queue:
            self._pump()

    def _on_return(self, _: Any, method: Any, props: Any, __: bytes) -> None:
        self._gone.add((props.message_id, method.routing_key))

    def _channel_lost(self, reason: BaseException) -> None:
        """The server refuses something for good (a missing exchange, a missing permission), and has closed the channel for it."""
        self.missing = reply_code(reason) == NOT_FOUND
        error = translate(reason, self._address)
        self._lost(error if isinstance(error, BrokerError) else BrokerUnavailable(str(error)))
        self.link.post(self.link._goodbye)

    def _lost(self, error: BrokerError) -> None:
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            batches = dict.fromkeys([batch for batch, _ in self._unconfirmed.values()] + list(self._queue))
            self._unconfirmed.clear()
            self._queue.clear()
        for batch in batches:
            batch.finish(error)
