"""Taking jobs back from dead workers, and the rest of `sweep`.

A worker is declared dead when its lease is over *and* its beat has not changed between two looks that are a full beat apart on our own
clock; and only if it still has not when we say so (sql/kill.sql). So neither a jump of the server's clock nor a sweeper that was frozen
kills a worker that beats.

    alive     its beat moves
    suspect   its lease is over; seen once                              our memory only
    dead      its row is deleted: it can claim nothing, for a claim locks that row; its jobs are orphans, which anybody takes back
"""

from __future__ import annotations

import threading
from collections import Counter

import psycopg
from psycopg.types.numeric import Int8

from tidewheel.backends.keeping import RESULTS, kept, lost_error, visible
from tidewheel.backends.postgres import partitions
from tidewheel.backends.postgres.connections import Connection
from tidewheel.backends.postgres.faults import code
from tidewheel.backends.postgres.settling import STEP, settle
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Settlement, Swept
from tidewheel.core.job import Token
from tidewheel.core.options import NO_RETRY
from tidewheel.core.outcome import Counters, Lost, decide


def expire(store: Store, limit: int) -> int:
    """End what waits and is too late, about `limit` at most; how many."""
    expired = 0
    while expired < limit:
        some = min(STEP, limit - expired)
        ids = [id_ for (id_,) in store.run("expire", [Int8(some), visible(RESULTS), kept(RESULTS, 0.0)], size=some)]
        expired += len(ids)
        store.tell(ids)
        if len(ids) < some:
            break
    return expired


def promote(store: Store, limit: int) -> Counter[str]:
    """Make due jobs ready, `limit` at most; how many in each queue."""
    return Counter(queue for (queue,) in store.run("promote", [Int8(limit)], size=limit))


class Upkeep:
    """Remembers whom it suspects. Usable from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._suspects: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()
        store.forked.append(self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def sweep(self, limit: int) -> Swept:
        """One sweep, of at most about `limit` of each kind."""
        store = self._store
        lost = self._dead()
        recovered = sum(self._take_back(worker) for (worker,) in store.run("orphans"))
        due, late, old, now = store.run("upkeep")[0]
        expired = expire(store, limit) if late else 0
        promoted = promote(store, limit) if due else Counter[str]()
        store.ring(promoted)
        pruned = self._prune(now)
        if old:
            pruned += store.run("prune_archive", [Int8(limit)], size=limit)[0][0]
        return Swept(promoted=promoted.total(), recovered=recovered, expired=expired, pruned=pruned, lost_workers=tuple(lost))

    def _dead(self) -> list[str]:
        """Those who are declared dead now."""
        suspects = {worker: (beats, every) for worker, beats, every in self._store.run("suspects")}
        now = self._store.monotonic()
        with self._lock:
            seen = self._suspects
            self._suspects = {w: seen[w] if seen.get(w, (-1, 0.0))[0] == beats else (beats, now) for w, (beats, _) in suspects.items()}
            over = [(w, beats) for w, (beats, since) in self._suspects.items() if now - since >= suspects[w][1]]
        return [worker for worker, beats in over if self._store.run("kill", [worker, Int8(beats)], repeat=False)]

    def _take_back(self, worker: str) -> int:
        """Everything it holds; how many that were."""
        count = 0
        error = lost_error(worker)
        while True:
            held = self._store.run("holdings", [worker, Int8(STEP)], size=STEP)
            batch = []
            for id_, claim, cancel, attempts, strikes, losses in held:
                outcome = decide(Lost(error), Counters(attempts, strikes, losses), NO_RETRY, cancelled=cancel)
                batch.append(Settlement(id_, Token(worker, claim), outcome))
            count += settle(self._store, batch).count("ok")
            if len(held) < STEP:
                return count

    def _prune(self, now: float) -> int:
        """Drop what is over, and make room for what comes."""
        store = self._store

        def look(connection: Connection) -> list[partitions.Partition]:
            return partitions.existing(connection, store.schema)

        there = store.step(look)
        wanted = [now + ahead for ahead in store.ahead]
        if any(not any(p.start <= moment < p.end for p in there) for moment in wanted):
            store.make_room(wanted)
        return sum(self._drop(p) for p in there if p.end <= now)

    def _drop(self, partition: partitions.Partition) -> int:
        def work(connection: Connection) -> int:
            try:
                return partitions.drop(connection, self._store.schema, partition)
            except psycopg.Error as error:
                # In use (55P03): the next sweep tries again. Gone (42P01): another one was faster.
                if code(error) in ("55P03", "42P01", "40P01"):
                    return 0
                raise

        return self._store.step(work)
