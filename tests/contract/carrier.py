"""A carrier as simple as they come: it hands messages out, once or more, and knows nothing of jobs. Two messages of one job are two.

It is the memory engine, with ids of its own for messages, so that it recognises none of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from tidewheel.backends.memory.broker import Broker
from tidewheel.backends.memory.consumer import Consumer
from tidewheel.backends.memory.store import Store
from tidewheel.contract import AtOnce, Backend, Beat, Counts, Description, Progress, Receipt, Settlement, Swept, Verdict, WorkerInfo
from tidewheel.core.job import Delivery, Envelope, Token


class Post:
    """All messages of one test."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.store = Store(clock=clock)
        self.originals: dict[str, Envelope] = {}
        self._numbers = itertools.count()

    def connect(self) -> Backend:
        return Backend(Carrier(self))

    def put(self, envelope: Envelope) -> Envelope:
        message = replace(envelope, id=f"message {next(self._numbers)}")
        self.originals[message.id] = envelope
        return message

    def waiting(self) -> list[str]:
        """The jobs whose messages wait, one entry for each message."""
        return [self.originals[i].id for i, job in self.store.jobs.items() if job.state in ("ready", "scheduled")]

    def lose(self) -> None:
        """Forget every message that waits, as a disk does that is gone."""
        for job in [job for job in self.store.jobs.values() if job.state in ("ready", "scheduled")]:
            self.store.remove(job)


class Carrier:
    """See `tidewheel.contract.Broker`."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._broker = Broker(post.store)

    def open(self) -> None:
        pass

    def publish(self, batch: Sequence[Envelope]) -> Sequence[Receipt]:
        assert not any(envelope.key for envelope in batch)  # it cannot look whether one is taken
        self._broker.publish([self._post.put(envelope) for envelope in batch])
        return [Receipt(envelope.id) for envelope in batch]

    def consumer(self, info: WorkerInfo) -> CarrierConsumer:
        return CarrierConsumer(self._post, self._broker.consumer(info))

    def sweep(self, limit: int = 1000) -> Swept:
        return self._broker.sweep(limit)

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        return self._broker.counts(queues)

    def purge(self, queue: str) -> int:
        """What is due only: no purge reaches a ladder of delays."""
        doomed = [j for j in self._post.store.jobs.values() if j.envelope.queue == queue and j.state == "ready"]
        for job in doomed:
            self._post.store.remove(job)
        return len(doomed)

    def now(self) -> float:
        return self._broker.now()

    def describe(self) -> Description:
        return replace(self._broker.describe(), engine="post", durability="Messages are in memory.")

    def close(self) -> None:
        pass


class CarrierConsumer:
    """See `tidewheel.contract.Consumer`. Each delivery has a token of its own."""

    lifeline: str | None = None

    def __init__(self, post: Post, consumer: Consumer) -> None:
        self._post = post
        self._consumer = consumer
        self.beat_every = consumer.beat_every
        self._tags = itertools.count(1)
        self._held: dict[int, Delivery] = {}
        self.lost = False

    @property
    def news(self) -> bool:
        return False

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        made = []
        for message in self._consumer.claim(queues, limit, wait):
            tag = next(self._tags)
            self._held[tag] = message
            made.append(self._made(tag, message))
        return made

    def _made(self, tag: int, message: Delivery) -> Delivery:
        envelope = replace(message.envelope, id=self._post.originals[message.id].id)
        return replace(message, envelope=envelope, token=Token(message.token.worker, tag))

    def owned(self) -> Sequence[Delivery]:
        return [self._made(tag, message) for tag, message in self._held.items()]

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        return [self._settle(s) for s in batch]

    def _settle(self, settlement: Settlement) -> Verdict:
        message = self._held.pop(settlement.token.claim, None)
        if message is None:
            return "gone"
        assert self._post.originals[message.id].id == settlement.id
        return self._consumer.settle([replace(settlement, id=message.id, token=message.token)])[0]

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        assert not progress
        return replace(self._consumer.beat(), owned=len(self._held), lost=self.lost)

    def break_down(self) -> None:
        """Lose the connection: what was handed out is handed out again, and counted as a loss."""
        self.lost = True
        self.abandon()
        self._held.clear()

    def abandon(self) -> None:
        self._consumer.abandon()

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._consumer.close()
