"""The broker on a PostgreSQL database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg.types.numeric import Int8

from tidewheel.backends.postgres import migrating, publishing
from tidewheel.backends.postgres.connections import Connection
from tidewheel.backends.postgres.consumer import Consumer
from tidewheel.backends.postgres.durability import describe
from tidewheel.backends.postgres.rows import DEAD, READY, RUNNING, SCHEDULED
from tidewheel.backends.postgres.store import Store
from tidewheel.backends.postgres.upkeep import Upkeep
from tidewheel.contract import Counts, Description, Receipt, Swept, WorkerInfo
from tidewheel.core.job import Envelope
from tidewheel.errors import PublishUnknown

_STEP = 1000
_NAMES = {SCHEDULED: "scheduled", READY: "ready", RUNNING: "running", DEAD: "dead"}


class Broker:
    """Keeps envelopes in one schema of a database, for any number of hosts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._upkeep = Upkeep(store)
        self._waited: set[str] = set()
        """Queues for which somebody waited at the last publication: the next one rings in the same round trip."""

    def open(self) -> None:
        migrating.open_store(self._store)

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        if len(batch) == 1 and batch[0].key is None:
            return [self._publish_one(batch[0], fresh)]
        return self._publish_many(batch) if batch else []

    def _publish_one(self, envelope: Envelope, fresh: bool) -> Receipt:
        store, queue = self._store, envelope.queue
        rung = False

        def work(connection: Connection) -> list[Any]:
            nonlocal fresh, rung
            values = publishing.lone(store, envelope, ours=True, fresh=fresh)
            fresh = False  # should it be tried again, it may have ended meanwhile
            rung = queue in self._waited and store.prepares
            if rung:
                return store.ask_and_hint(connection, ("publish_one", values), ("ring", store.bells.work(queue, 1)))
            return store.ask(connection, "publish_one", values)

        rows, unknown = store.publish(work, publishing.weight([envelope]))
        if rows is None:
            raise PublishUnknown(f"{unknown}; publish the same ids again", (envelope.id,)) from unknown
        receipt, idle = publishing.taken(envelope, rows)
        if not idle:
            self._waited.discard(queue)
        elif not rung:
            store.ring({queue: 1})
            self._waited.add(queue)
        return receipt

    def _publish_many(self, batch: Sequence[Envelope]) -> Sequence[Receipt]:
        store = self._store
        alone = publishing.single(batch)

        def work(connection: Any) -> tuple[list[Receipt], bool]:
            if alone:
                return publishing.store(store, connection, batch)
            with connection.transaction():
                return publishing.store(store, connection, batch)

        answer, unknown = store.publish(work, publishing.weight(batch))
        if answer is None:
            raise PublishUnknown(f"{unknown}; publish the same ids again", tuple(e.id for e in batch)) from unknown
        receipts, idle = answer
        if idle:
            store.ring(publishing.by_queue(batch))
        return receipts

    def consumer(self, info: WorkerInfo) -> Consumer:
        return Consumer(self._store, info)

    def sweep(self, limit: int = 1000) -> Swept:
        return self._upkeep.sweep(limit)

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        wanted = tuple(queues)
        depths: defaultdict[str, dict[str, Any]] = defaultdict(dict, {queue: {} for queue in wanted})
        for queue, state, many, oldest in self._store.run("counts"):
            depths[queue][_NAMES[state]] = many
            if oldest is not None:
                depths[queue]["oldest"] = oldest
        return {queue: Counts(**depths[queue]) for queue in (wanted or sorted(depths))}

    def purge(self, queue: str) -> int:
        purged = 0
        while True:
            count: int = self._store.run("purge", [queue, Int8(_STEP)], size=_STEP)[0][0]
            purged += count
            if count < _STEP:
                return purged

    def now(self) -> float:
        return float(self._store.run("now")[0][0])

    def describe(self) -> Description:
        return describe(self._store)

    def close(self) -> None:
        self._store.close()
