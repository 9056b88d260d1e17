"""A worker's session: claims, beats and settles."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

import msgspec

from tidewheel import lifeline
from tidewheel.backends.sqlite import upkeep
from tidewheel.backends.sqlite.bells import WorkerBells
from tidewheel.backends.sqlite.ending import settle
from tidewheel.backends.sqlite.rows import Row, deliveries
from tidewheel.backends.sqlite.schema import statement
from tidewheel.backends.sqlite.settling import settle_one
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import AtOnce, Beat, Progress, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import Delivery
from tidewheel.core.outcome import Again, Succeeded
from tidewheel.errors import BrokerError, BrokerUnavailable

FIRST_LOOK, LAST_LOOK, SLACKENING = 0.02, 0.5, 1.6
"""Seconds between looks while nothing rings: the first, the longest, and the factor between them (docs/decisions/0001)."""
UPKEEP = 1000
"""Due jobs, and late jobs, that one claim moves."""

_TIMERS, _PEEK, _CLAIM = statement("timers"), statement("peek"), statement("claim")
_SUCCEED, _HELD, _DROP_PAYLOAD = statement("succeed"), statement("held"), statement("drop_payload")
_PROGRESS, _COUNT_HELD, _CANCELS = statement("progress"), statement("count_held"), statement("cancels")
_HELLO, _GOODBYE = statement("hello"), statement("goodbye")


class Consumer:
    """See `tidewheel.contract.Consumer`. It lives for as long as its lifeline is held, however seldom it beats."""

    beat_every = 1.0

    def __init__(self, store: Store, info: WorkerInfo) -> None:
        self.lifeline: str | None = f"{store.place.workers}/{info.id}"
        self.news = False
        self._store = store
        self._id = info.id
        self._claims = 0
        self._first = 0
        self._more = False
        """Whether the last claim left something behind, so that it is not worth looking before the next."""
        self._long: set[str] = set()
        """Ids of held jobs with a long body, which must be deleted with them."""
        store.place.prepare()
        try:
            # Before the first claim: a sweeper that finds jobs of a worker without a lifeline takes it for dead.
            self._life = lifeline.hold(self.lifeline)
        except OSError as error:
            raise BrokerUnavailable(f"{self.lifeline} cannot be locked: {error.strerror}") from error
        self._bells = WorkerBells(store.place.run, info.id)
        try:
            with store.write(synced=False) as db:
                db.execute(_HELLO, (info.id, msgspec.json.encode(info).decode()))
        except BaseException:
            self._end()
            raise

    # -- claiming -------------------------------------------------------------------------------------------------------

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        deadline = time.monotonic() + wait
        if limit > 0:
            taken, left, _ = self._take(queues, limit)
            self._ring(left)
            if taken:
                return taken
        if wait <= 0:
            return []
        with self._bells.idle(queues if limit > 0 else ()):
            taken, left = self._wait(queues, limit, deadline)
        if self._bells.unheard:
            # Somebody rang while we were already leaving: it was not meant for us.
            left = left.union(queues)
        self._ring(left)
        return taken

    def _wait(self, queues: Sequence[str], limit: int, deadline: float) -> tuple[list[Delivery], set[str]]:
        """Jobs, as soon as there are any, and the queues that have more."""
        look = FIRST_LOOK
        rung = False
        while True:
            due: float | None = None
            if limit > 0:
                # Again, now that those who publish can see that we are idle.
                taken, left, due = self._take(queues, limit, rung=rung)
                if taken:
                    return taken, left
            rest = deadline - time.monotonic()
            if rest <= 0:
                return [], set()
            pause = min(rest, look) if limit > 0 else rest
            if due is not None:
                pause = min(pause, max(0.001, due))
            heard = self._bells.listen(pause)
            if "news" in heard:
                self.news = True
            if heard & {"wake", "news"}:
                return [], set()
            rung = "work" in heard
            look = min(look * SLACKENING, LAST_LOOK)

    def _ring(self, queues: set[str]) -> None:
        """Who was woken wakes the next, as long as there is work: a burst reaches everybody without ringing at everybody."""
        if queues:
            self._store.bells.ring_idle(queues, but=self._id)

    def _take(self, queues: Sequence[str], limit: int, *, rung: bool = False) -> tuple[list[Delivery], set[str], float | None]:
        """What could be claimed, the queues that have work for others, and the seconds until the next job is due if that is known.

        `rung`: somebody is just committing work for us. Looking without the lock would be too early; we queue up behind it for the lock.
        """
        store = self._store
        if not lifeline.held(self._life):
            # The file is gone, or we have said goodbye: a sweeper would take back at once what we claim. The next beat says so.
            return [], set(), None
        if not self._more and not rung:
            due, anything = self._look(queues)
            if not anything:
                return [], set(), due
        self._claims += 1
        self._first = (self._first + 1) % max(1, len(queues))
        turn = [*queues[self._first :], *queues[: self._first]]
        rows: list[Row] = []
        with store.write(synced=False) as db:
            now = store.clock()
            next_due, next_late = db.execute(_TIMERS).fetchone()
            expired = next_late is not None and next_late <= now and upkeep.expire(db, now, UPKEEP)
            if next_due is not None and next_due <= now:
                upkeep.promote(db, now, UPKEEP)
            for queue in turn:
                room = limit - len(rows)
                if room <= 0:
                    break
                rows += db.execute(_CLAIM, (self._id, self._claims, now, queue, now, room)).fetchall()
            taken = deliveries(db, rows, self._long)
            self._more = len(rows) == limit
            left = {q for q in turn if db.execute(_PEEK, (q,)).fetchone()[0]} if self._more else set()
            due = None if taken else db.execute(_TIMERS).fetchone()[0]
        if expired:
            store.bells.ring_waiters()
        # What was promoted for queues of others needs no ring: whoever is idle there has set an alarm clock for the same moment.
        return taken, left, None if due is None else due - now

    def _look(self, queues: Sequence[str]) -> tuple[float | None, bool]:
        """Seconds until the next job is due, and whether there is anything to do now. Takes no lock."""
        with self._store.read() as db:
            due, late = db.execute(_TIMERS).fetchone()
            now = self._store.clock()
            anything = (
                (due is not None and due <= now)
                or (late is not None and late <= now)
                or any(db.execute(_PEEK, (queue,)).fetchone()[0] for queue in queues)
            )
        return (None if due is None else due - now), anything

    def owned(self) -> Sequence[Delivery]:
        with self._store.read() as db:
            return deliveries(db, db.execute(_HELD, (self._id,)).fetchall(), self._long)

    def wake(self) -> None:
        self._bells.alarm.ring()

    # -- settling -------------------------------------------------------------------------------------------------------

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        store = self._store
        if not batch:
            return []
        again: set[str] = set()
        with store.write(synced=True) as db:
            now = store.clock()
            verdicts: list[Verdict]
            if self._settle_successes(db, batch, now):
                verdicts = ["ok"] * len(batch)
            else:
                verdicts = [settle_one(db, settlement, now, again) for settlement in batch]
        if self._long:
            self._long.difference_update([s.id for s in batch])
        store.bells.ring_waiters()
        store.bells.ring_idle(again)
        return verdicts

    def _settle_successes(self, db: sqlite3.Connection, batch: Sequence[Settlement], now: float) -> bool:
        """The common case in one go: everything succeeded, every fence holds. False when it is not so; nothing was changed then."""
        rows = []
        for s in batch:
            outcome = s.outcome
            if type(outcome) is not Succeeded or s.publish:
                return False
            rows.append((now, outcome.value, outcome.ttl, s.id, s.token.worker, s.token.claim))
        db.execute("SAVEPOINT settling")
        if db.executemany(_SUCCEED, rows).rowcount != len(rows):
            db.execute("ROLLBACK TO settling")
            db.execute("RELEASE settling")
            return False
        db.execute("RELEASE settling")
        if self._long:
            db.executemany(_DROP_PAYLOAD, [(id_,) for id_ in self._long.intersection([s.id for s in batch])])
        return True

    # -- living ---------------------------------------------------------------------------------------------------------

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        self.news = False
        if progress:
            with self._store.write(synced=False) as db:
                db.executemany(_PROGRESS, [(p.data, p.id, p.token.worker, p.token.claim) for p in progress])
        with self._store.read() as db:
            (owned,) = db.execute(_COUNT_HELD, (self._id,)).fetchone()
            cancels = tuple(id_ for (id_,) in db.execute(_CANCELS, (self._id,)).fetchall())
        if owned == 0:
            # Left over from jobs that were settled in their tasks' own transactions. (One claimed just now: pruning finds its payload.)
            self._long.clear()
        return Beat(owned=owned, cancels=cancels, lost=not lifeline.held(self._life))

    def close(self) -> None:
        if self._life < 0:
            return
        store = self._store
        try:
            with store.write(synced=False) as db:
                now = store.clock()
                jobs = upkeep.holdings(db, self._id)
                for job in jobs:
                    settle(db, job, Again("returned"), now)
                db.execute(_GOODBYE, (self._id,))
            store.bells.ring_idle(upkeep.queues_of(jobs))
        except BrokerError:
            # They come back anyway: the lifeline ends now.
            pass
        self._end()

    def abandon(self) -> None:
        """Die without a goodbye, as a killed process does: the next sweep takes the jobs back. For tests."""
        fd, self._life = self._life, -1
        if fd >= 0:
            self._bells.shut()
            lifeline.forget(fd)

    def _end(self) -> None:
        fd, self._life = self._life, -1
        self._bells.close()
        if fd >= 0:
            lifeline.release(fd)
