"""A worker's session: claims, beats and settles.

claim      its own thread; waits on `Ears`. Who finds nothing offers the number of its next claim, and a job that is published then is
           claimed and told in the same step as it is stored. The server rings one idle worker for several jobs, and who leaves work
           behind rings the next. No offer outlives the call that made it.
settle, beat, owned    other threads, each on a connection that it takes from the pool for the call
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence

import msgspec

from tidewheel.backends.redis import layout
from tidewheel.backends.redis.ears import POLL, Ears
from tidewheel.backends.redis.publishing import Arg
from tidewheel.backends.redis.settling import STEP, settle
from tidewheel.backends.redis.store import Store
from tidewheel.backends.redis.upkeep import expire
from tidewheel.contract import AtOnce, Beat, Progress, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import Delivery, Token
from tidewheel.core.outcome import Again
from tidewheel.errors import BrokerError, BrokerUnavailable

BREATHER = 0.1
"""Seconds between claims of a worker whose lease is over and who has not heard of it."""
COLLECT = 1.0
"""Seconds within which a message must arrive that was sent before the answer to a later question."""
WITHDRAW = 0.5
"""Seconds that a claim which was told to return may take to do so."""
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
        self._idle: set[str] = set()
        """Queues for which the server may believe that we wait for work."""
        self._offer = 0
        """The number of a claim that the server may make for us; 0: none."""
        self._over = False
        """The lease is: others have our jobs, and the worker is about to take a new incarnation."""
        self._ended = False
        self._ears = Ears(store, f"{store.slot}:worker:{info.id}".encode())
        try:
            self._ears.open()
            store.run("hello", [info.id, store.address.lease, store.address.beat, msgspec.json.encode(info)])
        except BaseException:
            self._ears.close()
            raise
        ears = weakref.ref(self._ears)  # a worker may have many incarnations, and a store only one end
        store.closing.append(lambda: None if (found := ears()) is None else found.close())

    # -- claiming -------------------------------------------------------------------------------------------------------

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        try:
            return self._claim(queues, limit, time.monotonic() + wait) or self._withdraw()
        except BrokerError:
            # What was handed to us meanwhile is found when the worker asks what it owns.
            self._offer = 0
            raise

    def _claim(self, queues: Sequence[str], limit: int, deadline: float) -> list[Delivery]:
        while True:
            pause = deadline - time.monotonic()
            if limit > 0:
                taken, due = self._take(queues, limit, signs=pause > 0)
                if taken:
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
            if not self._ears.listening:
                # An offer that the server remembers from before is void, if only because its disk may have forgotten that it was taken.
                self._store.command("HDEL", f"{self._store.slot}:offer", self._id)
                self._ears.open()
                self._offer = 0
                # What was asked while nobody listened was not heard; a beat will tell.
                self.news = True
                return []
            handed, asked = self._hear(min(pause, POLL))
            if handed or asked:
                return handed

    def _hear(self, pause: float) -> tuple[list[Delivery], bool]:
        """What was handed to us, and whether we are asked for something else: by the alarm, or because there is news."""
        said, rang = self._ears.hear(pause)
        if b"news" in said:
            self.news = rang = True
        handed = [layout.handed(message) for message in said if message.startswith(layout.HANDED)]
        taken = [delivery for delivery in handed if delivery.token.claim == self._offer]
        if taken:
            self._offer = 0
        return taken, rang

    def _withdraw(self) -> list[Delivery]:
        """Take the offer back; or the job that has just been handed to us under it."""
        if not self._offer:
            return []
        try:
            if self._store.command("HDEL", f"{self._store.slot}:offer", self._id, limit=WITHDRAW) == 0:
                return self._collect()
        except BrokerError:
            # Whoever calls has asked us to come back, server or not. If a job was handed to us, the beats will tell that we own it.
            pass
        self._offer = 0
        return []

    def _collect(self) -> list[Delivery]:
        """The job that the server says it has handed to us: the message is under way. Raises `BrokerUnavailable` when it never comes."""
        deadline = time.monotonic() + COLLECT
        rang = False
        while (left := deadline - time.monotonic()) > 0:
            handed, alarm = self._hear(left)
            rang = rang or alarm
            if handed:
                if rang:
                    self._ears.alarm.ring()  # it was meant for the claim
                return handed
        raise BrokerUnavailable(f"a job that Redis at {self._store.address.where} handed to this worker did not arrive")

    def _take(self, queues: Sequence[str], limit: int, *, signs: bool) -> tuple[list[Delivery], float | None]:
        """What could be claimed, and the seconds until the next job is due if that is known."""
        self._first = (self._first + 1) % max(1, len(queues))
        turn = [*queues[self._first :], *queues[: self._first]]
        found: list[tuple[float, Delivery]] = []
        handed: list[Delivery] = []
        due: float | None = None
        more = True
        while more and len(found) < limit:
            self._claims += 1
            claim, offer = self._claims, 0
            if signs and not found:
                offer = self._claims = claim + 1
            some = min(STEP, limit - len(found))
            args: list[Arg] = [
                self._id, layout.claim_number(claim), some, layout.claim_number(offer) if offer else "", "1" if self._idle else "0", *turn,
            ]  # fmt: skip
            answer = self._store.run("claim", args, repeat=False, size=some)
            if answer[2] and self._offer:
                handed += self._collect()
            self._offer = 0
            if answer[0] == b"lost":
                self._over = True
                return handed, None
            if answer[0] == b"late":
                expire(self._store, LATE)
                continue
            token = Token(self._id, claim)
            jobs = answer[3:]
            found += [(layout.place(r), layout.delivery(i, j, r, token)) for i, j, r in zip(jobs[::3], jobs[1::3], jobs[2::3], strict=True)]
            if jobs:
                self._idle.clear()
            elif offer:
                self._idle.update(queues)
                self._offer = offer
            more = len(jobs) == 3 * some
            due = float(answer[1]) if answer[1] else None
        if len(queues) > 1:
            found.sort(key=lambda pair: pair[0])
        return [*handed, *(delivery for _, delivery in found)], due

    def owned(self) -> Sequence[Delivery]:
        answer = self._store.run("owned", [self._id, 0])
        return [layout.delivery(i, j, r) for i, j, r in zip(answer[::3], answer[1::3], answer[2::3], strict=True)]

    def wake(self) -> None:
        self._ears.alarm.ring()

    # -- settling -------------------------------------------------------------------------------------------------------

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        return settle(self._store, batch)

    # -- living ---------------------------------------------------------------------------------------------------------

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        self.news = False
        args: list[Arg] = [self._id]
        for said in progress:
            args += (layout.raw(said.id), layout.fence(said.token), said.data)
        over, owned, cancels = self._store.run("beat", args)
        if over:
            # A claim that waits on our behalf waits in vain.
            self._over = True
            self._ears.alarm.ring()
        return Beat(owned=owned, cancels=tuple(layout.text(id_) for id_ in cancels), lost=bool(over))

    def close(self) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            while answer := self._store.run("owned", [self._id, STEP], size=STEP):
                held = [Settlement(layout.text(i), layout.read_run(r).token, Again("returned")) for i, r in zip(answer[::3], answer[2::3])]
                settle(self._store, held)
            self._store.run("goodbye", [self._id, *self._idle])
        except BrokerError:
            # They come back anyway, when the lease is over.
            pass
        self._ears.close()
