"""A worker's session: claims, beats and settles.

claim      its own thread; waits on `Ears`. Who finds nothing marks itself as idle, looks once more, and is then told of what is published
settle, beat, owned    other threads, each on a connection that it takes for the call
"""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Iterator, Sequence

import msgspec
from psycopg.types.numeric import Int8

from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.bells import SEATS
from tidewheel.backends.postgres.ears import FIRST_LOOK, POLL, SLACKENING, Ears
from tidewheel.backends.postgres.rows import Row, delivery, known, place
from tidewheel.backends.postgres.settling import settle
from tidewheel.backends.postgres.store import Store
from tidewheel.backends.postgres.upkeep import expire, promote
from tidewheel.contract import AtOnce, Beat, Progress, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import Delivery, Token
from tidewheel.core.outcome import Again
from tidewheel.errors import BrokerError

BREATHER = 0.1
"""Seconds between claims of a worker whose lease is over and who has not heard of it."""
UPKEEP = 1000
"""Due jobs that one claim makes ready."""
FLOOR = 2.0
"""Seconds for which a claim goes on where the last one ended. Before that place the index is full of entries of jobs that were claimed,
until vacuum comes by; what has come back to it meanwhile waits so long at most.
"""
LOWEST, HIGHEST = -(1 << 15), (1 << 15) - 1
LOOK = 0.5
"""Seconds after which who always finds jobs looks for due and late ones all the same."""
NOWHERE = (LOWEST, 0)
"""Before every job."""
LATE = 10_000
"""Jobs that are too late: so many are ended before a claim goes on."""


class Consumer:
    """See `tidewheel.contract.Consumer`."""

    lifeline: str | None = None

    def __init__(self, store: Store, info: WorkerInfo) -> None:
        self.beat_every = store.address.beat
        self._store = store
        self._id = info.id
        self.news = False
        self._claims = 0
        self._first = 0
        self._floors: dict[str, tuple[int, int]] = {}
        """Rank and number of the job where the last claim ended in each queue, as long as there is more."""
        self._floors_until = 0.0
        self._look_again = 0.0
        self._over = False
        """The lease is: others have our jobs, and the worker is about to take a new incarnation."""
        self._ended = False
        self._seat = random.randrange(SEATS)
        self._ears = Ears(store, [store.bells.seat_channel(self._seat), store.bells.worker_channel(info.id)])
        self._places: list[int] = []
        """What is marked while we wait."""
        try:
            self._ears.open()
            lease, every = float(store.address.lease), float(store.address.beat)
            store.run("hello", [info.id, lease, every, msgspec.json.encode(info).decode()], repeat=False)
        except BaseException:
            self._ears.close()
            raise
        ears = weakref.ref(self._ears)  # a worker may have many incarnations, and a store only one end
        store.closing.append(lambda: None if (found := ears()) is None else found.close())

    # -- claiming -------------------------------------------------------------------------------------------------------

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        deadline = time.monotonic() + wait
        waited = False
        look = FIRST_LOOK
        while True:
            pause = deadline - time.monotonic()
            if limit > 0:
                taken, due = self._take(queues, limit)
                if taken:
                    if not waited:
                        self._busy(queues)
                    return taken
                if due is not None:
                    pause = min(pause, max(0.001, due))
                if self._over:
                    self.news = True  # the next beat will say so
                    self._ears.shut()
                    self._ears.hear(max(0.0, min(pause, BREATHER)))
                    return []
            if pause <= 0:
                return []
            if self._ears.open():
                # What was asked while nobody listened was not heard; a beat will tell.
                self.news = True
                return []
            if limit <= 0:
                self._busy(queues)
            elif not waited and self._idle(queues):
                waited = True
                continue
            waited = True
            if self._hear(queues, min(pause, POLL if self._ears.marked or limit <= 0 else look)):
                return []
            look = min(look * SLACKENING, POLL)

    def _idle(self, queues: Sequence[str]) -> bool:
        """Let those who publish see that we wait; whether they could not before, so that we must look once more."""
        places = self._store.bells.idle(queues, self._seat)
        if self._ears.marked and places == self._places:
            return False
        self._places = places
        return self._ears.mark(places)

    def _busy(self, queues: Sequence[str]) -> None:
        """We do not wait for jobs any more; what we were told meanwhile was not meant for us, and goes to the next who does."""
        if not self._ears.marked:
            return
        self._ears.mark(())
        said, rang = self._ears.hear(0)
        if rang:
            self._ears.alarm.ring()  # it was meant for the next who waits here
        self._note(said)
        handed_on = {queue: 1 for _, queue in said if queue in queues}
        self._store.ring(handed_on)

    def _hear(self, queues: Sequence[str], pause: float) -> bool:
        """Wait; whether we are asked for something else: by the alarm, or because there is news."""
        said, rang = self._ears.hear(pause)
        return self._note(said) or rang

    def _note(self, said: Sequence[tuple[str, str]]) -> bool:
        own = self._store.bells.worker_channel(self._id)
        news = any(channel == own for channel, _ in said)
        if news:
            self.news = True
        return news

    def _take(self, queues: Sequence[str], limit: int) -> tuple[list[Delivery], float | None]:
        """What could be claimed, and the seconds until the next job is due if that is known."""
        self._first = (self._first + 1) % max(1, len(queues))
        turn = [*queues[self._first :], *queues[: self._first]]
        taken: list[Row] = []
        found: list[Delivery] = []
        while True:
            self._claims += 1
            token = Token(self._id, self._claims)
            some = limit - len(taken)
            legs = list(self._legs(turn))
            values = [
                self._id, Int8(self._claims), arrays.texts([leg[0] for leg in legs]), Int8(some), arrays.shorts([leg[1] for leg in legs]),
                arrays.longs([leg[2] for leg in legs]), arrays.shorts([leg[3] for leg in legs]),
            ]  # fmt: skip
            jobs: list[Row] | None = self._ears.ask("claim", values, self._store.patience(some))
            if jobs is None:
                jobs = self._store.run("claim", values, repeat=False, size=some)
            taken += jobs
            found += [delivery(job, token) for job in jobs]
            if len(jobs) < some and self._floors:
                self._floors.clear()
                continue
            self._settle_floors(jobs if len(jobs) == some else ())
            due = self._glance(queues, limit) if not found or time.monotonic() >= self._look_again else None
            if self._over or due is None or due > 0 or len(taken) >= limit:
                order = sorted(range(len(taken)), key=lambda n: place(taken[n]))
                return [found[n] for n in order], due

    def _glance(self, queues: Sequence[str], limit: int) -> float | None:
        """Is our lease over? End what is too late, make ready what is due. Seconds until the next job is due; 0: claim once more."""
        alive, late, seconds = self._store.run("look", [self._id])[0]
        due: float | None = seconds
        self._look_again = time.monotonic() + LOOK
        self._over = self._over or not alive
        if late:
            expire(self._store, LATE)
        if due is None or due > 0:
            return due
        promoted = promote(self._store, UPKEEP)
        # Those for queues of others, and more than we take, are for others.
        self._store.ring({q: n for q, n in promoted.items() if q not in queues or n > limit})
        return 0.0 if promoted else None

    def _legs(self, queues: Sequence[str]) -> Iterator[tuple[str, int, int, int]]:
        """Where to look in turn: queue, rank and number after which, rank before which."""
        for queue in queues:
            rank, seq = self._floors.get(queue, NOWHERE)
            if rank > LOWEST:
                yield queue, LOWEST, 0, rank  # what is more urgent than the last
            yield queue, rank, seq, HIGHEST

    def _settle_floors(self, jobs: Sequence[Row]) -> None:
        """Go on from here next time; from the beginning when there was not enough, and now and then."""
        now = time.monotonic()
        if not jobs or now >= self._floors_until:
            self._floors.clear()
            self._floors_until = now + FLOOR
            return
        for job in jobs:
            self._floors[job[3]] = max(self._floors.get(job[3], NOWHERE), place(job))

    def owned(self) -> Sequence[Delivery]:
        return [delivery(row[1:], Token(self._id, row[0])) for row in self._store.run("held", [self._id])]

    def wake(self) -> None:
        self._ears.alarm.ring()

    # -- settling -------------------------------------------------------------------------------------------------------

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        return settle(self._store, batch)

    # -- living ---------------------------------------------------------------------------------------------------------

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        self.news = False
        latest = {said.id: said for said in progress if known([said.id])}
        if latest:
            said = list(latest.values())
            self._store.run("progress", [
                arrays.uuids(list(known([p.id for p in said]).values())), arrays.texts([p.token.worker for p in said]),
                arrays.longs([p.token.claim for p in said]), arrays.byteas([p.data for p in said]),
            ])  # fmt: skip
        answer = self._store.run("beat", [self._id])
        if not answer:
            # A claim that waits on our behalf waits in vain.
            self._over = True
            self._ears.alarm.ring()
            return Beat(owned=0, lost=True)
        owned, cancels = answer[0]
        return Beat(owned=owned, cancels=tuple(cancels or ()))

    def close(self) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            held = self.owned()
            while held:
                settle(self._store, [Settlement(d.id, d.token, Again("returned")) for d in held])
                held = self.owned()
            self._store.run("goodbye", [self._id])
            self._busy(())
        except BrokerError:
            # They come back anyway, when the lease is over.
            pass
        self._ears.close()
