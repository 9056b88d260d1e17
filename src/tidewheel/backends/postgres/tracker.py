"""The state of jobs that another engine carries: ordinary rows, in queues from which nobody claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.types.numeric import Int4, Int8

from tidewheel.backends.keeping import ELSEWHERE, SILENCE, lost_error
from tidewheel.backends.postgres import arrays, publishing
from tidewheel.backends.postgres.consumer import LATE, Consumer
from tidewheel.backends.postgres.rows import Row, delivery, known, raw
from tidewheel.backends.postgres.settling import STEP, settle
from tidewheel.backends.postgres.store import Store
from tidewheel.backends.postgres.upkeep import expire
from tidewheel.contract import Settlement, WorkerInfo
from tidewheel.core.job import Delivery, Token
from tidewheel.core.options import NO_RETRY
from tidewheel.core.outcome import Counters, Lost, decide

LOOKS = 4
"""So often at most one job is looked at in one call: it is unknown and is stored, its holder is dead, and both may change meanwhile."""

Answer = Delivery | float | None


class Tracker:
    """See `tidewheel.contract.Tracker`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def consumer(self, info: WorkerInfo) -> TrackingConsumer:
        return TrackingConsumer(self._store, info)

    def withdraw(self, ids: Sequence[str]) -> int:
        raws = list(known(ids).values())
        gone = 0
        for start in range(0, len(raws), STEP):
            some = raws[start : start + STEP]
            gone += self._store.run("withdraw", [arrays.uuids(some)], repeat=False, size=len(some))[0][0]
        return gone


class TrackingConsumer(Consumer):
    """See `tidewheel.contract.TrackingConsumer`."""

    def take(self, batch: Sequence[Delivery]) -> Sequence[Delivery | float | None]:
        answers: list[Answer] = [ELSEWHERE] * len(batch)
        left = list(range(len(batch)))
        while left:
            first: dict[str, int] = {}
            twice = [n for n in left if first.setdefault(batch[n].id, n) != n]
            once = list(first.values())
            for start in range(0, len(once), STEP):
                self._step(batch, once[start : start + STEP], answers)
            left = twice
        return answers

    def _step(self, batch: Sequence[Delivery], which: list[int], answers: list[Answer]) -> None:
        for _ in range(LOOKS):
            which = self._look(batch, which, answers)
            if not which:
                return

    def _look(self, batch: Sequence[Delivery], which: Sequence[int], answers: list[Answer]) -> list[int]:
        """Enter what is certain of these; which must be looked at once more."""
        self._claims += 1
        token = Token(self._id, self._claims)
        rows = self._store.run("take", [
            self._id, Int8(self._claims), arrays.uuids([raw(batch[n].id) for n in which]), arrays.longs([batch[n].losses for n in which]),
            ELSEWHERE, SILENCE,
        ], repeat=False, size=len(which))  # fmt: skip
        if rows and not rows[0][0]:
            return []
        lost: list[Settlement] = []
        unknown: list[int] = []
        again: list[int] = []
        late = 0
        for n, (_, what, seconds, *rest) in zip(which, rows, strict=True):
            if what == "taken":
                answers[n] = delivery(tuple(rest[3:]), token)
            elif what == "wait":
                answers[n] = max(0.001, float(seconds))
            elif what == "over":
                answers[n] = None
            else:
                again.append(n)
                if what == "unknown":
                    unknown.append(n)
                elif what == "lost":
                    lost.append(_lost(tuple(rest)))
                else:
                    late += 1
        if late:
            expire(self._store, LATE)
        if lost:
            settle(self._store, lost)
        others = self._adopt([batch[n] for n in unknown])
        for n in again:
            if batch[n].id in others:
                answers[n] = None
        return [n for n in again if batch[n].id not in others]

    def _adopt(self, found: Sequence[Delivery]) -> set[str]:
        """Store these; answers which not, because their keys are others'."""
        if not found:
            return set()
        store = self._store

        def work(connection: Any) -> set[str]:
            receipts, _ = publishing.store(store, connection, [d.envelope for d in found])
            for d, receipt in zip(found, receipts, strict=True):
                if receipt.created:
                    past = [Int4(max(0, d.deliveries - 1)), Int4(d.attempts), Int4(d.strikes), Int4(d.losses)]
                    store.ask(connection, "adopt", [arrays.Uuid(raw(d.id)), float(d.published), *past])
            return {d.id for d, receipt in zip(found, receipts, strict=True) if receipt.id != d.id}

        return store.transact(work, size=len(found))


def _lost(row: Row) -> Settlement:
    """What becomes of a job whose worker died, as in a sweep."""
    worker, claim, cancel, _, _, job_id, *_, attempts, strikes, losses = row
    outcome = decide(Lost(lost_error(worker)), Counters(attempts, strikes, losses), NO_RETRY, cancelled=cancel)
    return Settlement(job_id, Token(worker, claim), outcome)
