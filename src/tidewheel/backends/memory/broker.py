"""The broker in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tidewheel.backends.memory.consumer import Consumer
from tidewheel.backends.memory.store import Store
from tidewheel.contract import Counts, Description, Receipt, Swept, WorkerInfo
from tidewheel.core.job import Envelope


class Broker:
    """Keeps envelopes in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self) -> None:
        pass

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        with self._store.lock:
            now = self._store.clock()
            return [self._store.add(envelope, now) for envelope in batch]

    def consumer(self, info: WorkerInfo) -> Consumer:
        return Consumer(self._store, info)

    def sweep(self, limit: int = 1000) -> Swept:
        store = self._store
        with store.lock:
            now = store.clock()
            dead = sorted(store.killed)
            return Swept(
                expired=store.expire(now),
                promoted=store.promote(now),
                recovered=sum(store.recover(worker, now) for worker in dead),
                pruned=store.prune(now, limit),
                lost_workers=tuple(dead),
            )

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        depths: dict[str, dict[str, int]] = {queue: {} for queue in queues}
        oldest: dict[str, float] = {}
        named = bool(depths)
        with self._store.lock:
            now = self._store.clock()
            for job in self._store.jobs.values():
                queue = job.envelope.queue
                if job.state not in ("ready", "scheduled", "running", "dead") or (named and queue not in depths):
                    continue
                depth = depths.setdefault(queue, {})
                depth[job.state] = depth.get(job.state, 0) + 1
                if job.state == "ready":
                    oldest[queue] = min(oldest.get(queue, job.due), job.due)
        return {q: Counts(**d, oldest=max(0.0, now - oldest[q]) if q in oldest else None) for q, d in sorted(depths.items())}

    def purge(self, queue: str) -> int:
        store = self._store
        with store.lock:
            doomed = [j for j in store.jobs.values() if j.envelope.queue == queue and j.state in ("ready", "scheduled")]
            for job in doomed:
                store.remove(job)
            return len(doomed)

    def now(self) -> float:
        return self._store.clock()

    def describe(self) -> Description:
        return Description(
            engine="memory", version="", url=f"memory://{self._store.name}", level="volatile",
            durability="Jobs live in this process only and end with it.",
            delivery="At least once, and one outcome is accepted.",
            notes=("Other processes do not see these jobs: use sqlite:///tidewheel.db to keep them.",),
        )  # fmt: skip

    def close(self) -> None:
        """The jobs stay, for whoever else in this process uses the same name."""
