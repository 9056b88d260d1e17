"""The broker on a Redis server."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from tidewheel.backends.redis import durability, publishing
from tidewheel.backends.redis.consumer import Consumer
from tidewheel.backends.redis.settling import STEP
from tidewheel.backends.redis.store import Store
from tidewheel.backends.redis.upkeep import Upkeep
from tidewheel.contract import Counts, Description, Receipt, Swept, WorkerInfo
from tidewheel.core.job import Envelope
from tidewheel.errors import PublishUnknown


class Broker:
    """Keeps envelopes on one server, for any number of hosts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._upkeep = Upkeep(store)

    def open(self) -> None:
        self._store.open()

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        if not batch:
            return []
        lone = publishing.lone(batch)
        if lone is not None:
            answer, unknown = self._store.publish("publish_one", lone, 1)
        else:
            answer, unknown = self._store.publish("publish", publishing.arguments(batch), publishing.weight(batch))
        if unknown is not None:
            raise PublishUnknown(f"{unknown}; publish the same ids again", tuple(e.id for e in batch)) from unknown
        return publishing.receipts(batch, answer)

    def consumer(self, info: WorkerInfo) -> Consumer:
        return Consumer(self._store, info)

    def sweep(self, limit: int = 1000) -> Swept:
        return self._upkeep.sweep(limit)

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        found: dict[str, Counts] = {}
        answer = self._store.run("counts", list(queues))
        for n in range(0, len(answer), 6):
            queue, ready, scheduled, running, dead, oldest = answer[n : n + 6]
            found[queue.decode()] = Counts(
                ready=ready, scheduled=scheduled, running=running, dead=dead, oldest=float(oldest) if oldest else None
            )
        return dict(sorted(found.items()))

    def purge(self, queue: str) -> int:
        purged = 0
        while True:
            count: int = self._store.run("purge", [queue, STEP], size=STEP)
            purged += count
            if count < STEP:
                return purged

    def now(self) -> float:
        moment: float = struct.unpack(">d", self._store.run("now"))[0]
        return moment

    def describe(self) -> Description:
        return durability.describe(self._store)

    def close(self) -> None:
        self._store.close()
