"""The broker on a RabbitMQ server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from tidewheel.backends.rabbitmq import guarantees
from tidewheel.backends.rabbitmq.consumer import Consumer
from tidewheel.backends.rabbitmq.link import Answer, Channel
from tidewheel.backends.rabbitmq.message import first
from tidewheel.backends.rabbitmq.store import Store, clock
from tidewheel.backends.rabbitmq.topology import BANDS
from tidewheel.contract import Counts, Description, Receipt, Swept, WorkerInfo
from tidewheel.core.job import Envelope
from tidewheel.errors import MissingRole


class Broker:
    """Keeps envelopes on one server or cluster, for any number of hosts."""

    def __init__(self, store: Store, *, alone: bool) -> None:
        """`alone`: no other engine sees to what this one cannot do."""
        self._store = store
        self._alone = alone

    def open(self) -> None:
        self._store.open()

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        """As in the contract, but the batch is not atomic, and an id that is known is stored again: RabbitMQ cannot look."""
        if not batch:
            return []
        for e in batch:
            if e.key is not None and self._alone:
                raise MissingRole(
                    f"job {e.id} has a key, and RabbitMQ alone cannot look up whether it is taken: give it a store,"
                    ' Tidewheel("amqp://…", results="redis://…"), "postgresql://…" or "sqlite:///…"'
                )
        queues = {e.queue for e in batch}
        self._store.declare(queues)  # before the clock is read: it may take a while
        now = clock()
        messages = [self._store.message(e.id, e.task, first(e, now), e.body, e.due_at(now) - now) for e in batch]
        self._store.publish(messages, queues)
        return [Receipt(e.id) for e in batch]

    def consumer(self, info: WorkerInfo) -> Consumer:
        return Consumer(self._store, info)

    def sweep(self, limit: int = 1000) -> Swept:
        """Nothing to do: the server itself promotes and takes back."""
        return Swept()

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        """Only what is ready and what is dead: over AMQP the server does not tell how many run, or for which queue jobs wait."""
        names = self._store.names
        found: dict[str, Counts] = {}
        for queue in sorted(set(queues) or self._store.queues()):
            ready = sum(self._store.depth(names.jobs(queue, b)) or 0 for b in BANDS)
            found[queue] = Counts(ready=ready, dead=self._store.depth(names.dead(queue)) or 0)
        return found

    def purge(self, queue: str) -> int:
        """Delayed jobs stay: they are in the ladder, with those of other queues."""
        purged = 0
        for b in BANDS:
            name = self._store.names.jobs(queue, b)
            if self._store.depth(name) is not None:
                answer = self._store.command(partial(_purge, name))
                purged += answer.method.message_count
        return purged

    def now(self) -> float:
        """This machine's clock."""
        return clock()

    def describe(self) -> Description:
        return guarantees.describe(self._store, alone=self._alone)

    def close(self) -> None:
        self._store.close()


def _purge(queue: str, channel: Channel, answer: Answer) -> None:
    channel.queue_purge(queue, callback=answer.give)
