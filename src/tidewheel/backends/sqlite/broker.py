"""The broker on a SQLite file."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tidewheel.backends.sqlite import bells, liveness, publishing, upkeep
from tidewheel.backends.sqlite.consumer import Consumer
from tidewheel.backends.sqlite.faults import UNSYNCED
from tidewheel.backends.sqlite.place import file_system
from tidewheel.backends.sqlite.schema import statement
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import Counts, Description, Receipt, Swept, WorkerInfo
from tidewheel.core.job import Envelope
from tidewheel.errors import BrokerUnavailable, PublishUnknown

_HOLDERS, _TIMERS, _PRUNABLE = statement("holders"), statement("timers"), statement("prunable")
_COUNT_READY, _COUNT_SCHEDULED = statement("count_ready"), statement("count_scheduled")
_COUNT_RUNNING, _COUNT_DEAD = statement("count_running"), statement("count_dead")

RESET_MENDED = (3, 51, 3)
"""Since then two connections may commit and checkpoint at once (docs/decisions/0004)."""


class Broker:
    """Keeps envelopes in one file, for all processes of one host."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self) -> None:
        self._store.open()

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        store = self._store
        if not batch:
            return []
        try:
            with store.write(synced=True) as db:
                receipts = publishing.store(db, batch, store.clock())
                # Before the commit: while it syncs, the worker wakes up and queues for the lock that we hold (a third of the latency).
                # Also for jobs that are due later: an idle worker must set its alarm clock anew.
                store.bells.ring_idle({envelope.queue for envelope in batch})
        except BrokerUnavailable as error:
            cause = error.__cause__
            if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) in UNSYNCED:
                raise PublishUnknown(f"{error}; publish the same ids again", tuple(e.id for e in batch)) from cause
            raise
        return receipts

    def consumer(self, info: WorkerInfo) -> Consumer:
        return Consumer(self._store, info)

    def sweep(self, limit: int = 1000) -> Swept:
        store = self._store
        recovered, lost = self._bury_the_dead()
        promoted: list[str] = []
        expired = 0
        with store.read() as db:
            due, late = db.execute(_TIMERS).fetchone()
        now = store.clock()
        if (due is not None and due <= now) or (late is not None and late <= now):
            with store.write(synced=False) as db:
                expired = upkeep.expire(db, now, limit)
                promoted = upkeep.promote(db, now, limit)
            store.bells.ring_idle(set(promoted))
        if expired:
            store.bells.ring_waiters()
        pruned = self._prune(limit)
        store.cut_log()
        return Swept(promoted=len(promoted), recovered=recovered, expired=expired, pruned=pruned, lost_workers=tuple(lost))

    def _bury_the_dead(self) -> tuple[int, list[str]]:
        store = self._store
        # The tables before the files: a worker has its lifeline before it has jobs, so who is in the tables then must have a file now.
        with store.read() as db:
            suspects = {worker for (worker,) in db.execute(_HOLDERS).fetchall()}
        files = liveness.files(store.place)
        recovered, lost = 0, []
        for worker in sorted(suspects | files.keys()):
            with liveness.grave(files.get(worker, [])) as dead:
                if not dead:
                    continue
                if worker in suspects:
                    with store.write(synced=False) as db:
                        jobs = upkeep.bury_worker(db, worker, store.clock())
                    recovered += len(jobs)
                    lost.append(worker)
                    store.bells.ring_idle(upkeep.queues_of(jobs))
                    store.bells.ring_waiters()
                bells.sweep(store.place.run, worker)
        return recovered, lost

    def _prune(self, limit: int) -> int:
        store = self._store
        now = store.clock()
        with store.read() as db:
            if db.execute(_PRUNABLE, (now,)).fetchone() is None:
                return 0
        with store.write(synced=False) as db:
            return upkeep.prune(db, now, limit)

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        wanted = tuple(queues)
        depths: defaultdict[str, dict[str, int]] = defaultdict(dict, {queue: {} for queue in wanted})
        oldest: dict[str, float] = {}
        with self._store.read() as db:
            now = self._store.clock()
            for queue, count, since in db.execute(_COUNT_READY).fetchall():
                depths[queue]["ready"] = count
                oldest[queue] = max(0.0, now - since)
            for state, query in (("scheduled", _COUNT_SCHEDULED), ("running", _COUNT_RUNNING), ("dead", _COUNT_DEAD)):
                for queue, count in db.execute(query).fetchall():
                    depths[queue][state] = count
        return {queue: Counts(**depths[queue], oldest=oldest.get(queue)) for queue in (wanted or sorted(depths))}

    def purge(self, queue: str) -> int:
        purged = 0
        while True:
            with self._store.write(synced=True) as db:
                count = upkeep.purge(db, queue, 1000)
            purged += count
            if count < 1000:
                return purged

    def now(self) -> float:
        return self._store.clock()

    def describe(self) -> Description:
        place = self._store.place
        kind = file_system(place.path)
        notes = []
        volatile = kind in ("tmpfs", "ramfs")
        if volatile:
            notes.append(f"{place.path} lies in memory ({kind}): jobs are gone after a reboot; put it on a disk")
        if kind == "overlay":
            notes.append(f"{place.path} lies in a container's own layer: jobs are gone with the container; put it on a volume")
        if place.network_allowed:
            notes.append(f"network=allow: safe only as long as a single host uses {place.path}")
        if place.shared and sqlite3.sqlite_version_info < RESET_MENDED:
            notes.append(
                f"shared=yes with SQLite {sqlite3.sqlite_version}: before 3.51.3 a write of yours beside a checkpoint of ours can, very"
                " rarely, damage the file; write inside of app.transaction blocks, or use a newer SQLite or PostgreSQL"
            )
        return Description(
            engine="sqlite", version=sqlite3.sqlite_version, url=place.url, level="process" if volatile else "power loss",
            durability=(
                "What was accepted survives the end of any process, not that of the machine." if volatile else
                "What was accepted survives the end of any process and a power cut (each publication and each outcome is synced)."
            ),
            delivery="At least once, and one outcome is accepted. A killed worker's jobs run again after about a second.",
            notes=tuple(notes),
        )  # fmt: skip

    def close(self) -> None:
        self._store.close()
