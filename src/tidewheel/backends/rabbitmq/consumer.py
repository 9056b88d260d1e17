"""A worker's session: claims, beats and settles.

claim      its own thread. Opens taps (`taps`) for as much as it may take; what the server pushes is taken by the connection's thread.
           Who returns with jobs leaves its taps open; who returns without, or is full, shuts them: what is pushed to a worker that does
           not claim would wait for nothing.
settle     another thread: first what has to be published (follow-ups, retries, dead letters), confirmed; then the acknowledgements.
           Who dies between the two leaves a job that runs again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from tidewheel.backends.rabbitmq import letters
from tidewheel.backends.rabbitmq.message import Message, again, first
from tidewheel.backends.rabbitmq.session import Held, Session
from tidewheel.backends.rabbitmq.store import Store, clock
from tidewheel.contract import AtOnce, Beat, Progress, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import Delivery, Token
from tidewheel.core.outcome import Again, Dead
from tidewheel.errors import BrokerError, BrokerUnavailable, PublishUnknown

log = logging.getLogger("tidewheel.rabbitmq")

BEAT = 1.0
"""Seconds between beats. They only look whether the connection lives; what keeps the lease is its heartbeat."""
STALLED = 0.05
"""Seconds without an arrival after which queues that should have jobs are looked at again."""
MORE = 0.005
"""Seconds for which open taps are given a chance before those that are shut are thought of."""

QUIET = 0.003
"""Seconds without an arrival after which the next one is given away at once; in a rush each would be given away alone."""

AFTERWARDS = 0.002
"""Seconds after such a gift when the claim is woken, if nothing else arrives: at once it would take the processor from who has the job."""

WIDEN = 0.05
"""Seconds after which taps that are too narrow are looked at again."""

Key = tuple[str, int]


class Hand:
    """What a claim that waits leaves with the connection's thread: the first that arrives is on its way before the claim is awake."""

    __slots__ = ("_at_once", "_awaited", "_busy", "_error", "_full", "limit", "queues")

    def __init__(self, queues: Sequence[str], limit: int, at_once: AtOnce) -> None:
        self.queues = queues
        self.limit = limit
        self._at_once = at_once
        self._full = self._busy = self._awaited = False
        self._error: BaseException | None = None

    def take(self, deliveries: Sequence[Delivery], changed: threading.Condition) -> Callable[[], None]:
        """What is to be done with them, without `changed` held."""
        self._full = self._busy = True

        def give() -> None:
            try:
                self._at_once(deliveries)
            except BaseException as error:
                self._error = error
            finally:
                with changed:
                    self._busy = False
                    if self._awaited:
                        changed.notify_all()

        return give

    def took(self, changed: threading.Condition) -> bool:
        """Whether it has, and given away. With `changed` held; waits until that is done. Raises what went wrong with it."""
        while self._busy:
            self._awaited = True
            changed.wait()
        if self._error is not None:
            raise self._error
        return self._full


class Consumer:
    """See `tidewheel.contract.Consumer`."""

    lifeline: str | None = None
    beat_every = BEAT

    def __init__(self, store: Store, info: WorkerInfo) -> None:
        self._store = store
        self._id = info.id
        self.news = False
        self._claims = 0
        self._first = 0
        self._woken = False
        self._widen_at = 0.0
        self._claimed: dict[Key, Held] = {}
        """Guarded by the session's `changed`."""
        self._ids: Counter[str] = Counter()
        """How many messages of each job are claimed: there may be two of one."""
        self._settling = threading.Lock()
        self._written: dict[Key, Verdict] = {}
        """What was settled of a batch of which the rest failed."""
        self._ended = False
        self._hand: Hand | None = None
        """Of the claim that waits: the connection's thread may take for it what arrives. Guarded as well."""
        self._session = Session(store, info.id, self._on_ready)
        store.closing.append(self._leave)

    # -- claiming -------------------------------------------------------------------------------------------------------

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        session = self._session
        self._first = (self._first + 1) % max(1, len(queues))
        turns = [*queues[self._first :], *queues[: self._first]]
        try:
            with session.changed:
                session.claiming = limit > 0
            if limit <= 0:
                self._rest(wait)
                return []
            if wait <= 0:
                return self._ask_once(turns, limit)
            return self._wait(turns, limit, time.monotonic() + wait, at_once)
        finally:
            with session.changed:
                session.claiming = False
            session.watch()

    def _rest(self, wait: float) -> None:
        """Wait for a wake-up; nothing is to be pushed meanwhile."""
        session = self._session
        if session.lost is None:
            session.shut()
        deadline = time.monotonic() + wait
        with session.changed:
            while not self._woken and session.lost is None and (left := deadline - time.monotonic()) > 0:
                session.changed.wait(left)
            self._woken = False
        self._check()

    def _ask_once(self, queues: Sequence[str], limit: int) -> list[Delivery]:
        session, empty = self._session, 0
        self._check()
        while empty < 2:  # the second look finds what was on its way to us at the first
            ready = session.adjust(queues, limit, limit)
            empty = empty + 1 if ready == 0 else 0
            with session.changed:
                expected = min(limit, ready)
                while session.lost is None and ready:
                    seen = session.arrivals
                    if self._waiting(queues) >= expected:
                        break
                    session.changed.wait(STALLED)
                    if session.arrivals == seen:
                        break
                if ready and self._waiting(queues):
                    break
            self._check()
        session.shut()
        with session.changed:
            return self._take(queues, limit)

    def _wait(self, queues: Sequence[str], limit: int, deadline: float, at_once: AtOnce | None) -> list[Delivery]:
        session, patient = self._session, False
        while True:
            self._check()
            with session.changed:
                taken = self._take(queues, limit)
                if taken:
                    return taken
                woken, self._woken = self._woken, False
            if woken or time.monotonic() >= deadline:
                session.shut()
                with session.changed:
                    return self._take(queues, limit)
            fits, most = session.fits(queues), len(self._claimed) + limit
            if session.narrow(queues, most) and time.monotonic() >= self._widen_at:
                # Jobs are shorter than they seemed. With few at a time each is handed on alone, and its acknowledgement lets in one more.
                fits, patient = False, True
                self._widen_at = time.monotonic() + WIDEN
            if not fits and (patient or not session.tapped):
                session.adjust(queues, limit, 2 * most + 2)
                fits, patient = session.fits(queues), True
            pause = deadline - time.monotonic()
            if not fits:
                pause = min(pause, STALLED if patient else MORE)
            with session.changed:
                if not self._waiting(queues) and not self._woken and session.lost is None:
                    hand = self._hand = None if at_once is None else Hand(queues, limit, at_once)
                    patient = session.changed.wait(max(0.0, pause)) is False
                    self._hand = None
                    if hand is not None and hand.took(session.changed):
                        return []

    def _on_ready(self) -> Callable[[], None] | None:
        """Something is ready: what the connection's thread is to do with it, if not to wake who claims. With `changed` held."""
        hand, self._hand = self._hand, None
        if hand is None or self._session.pause < QUIET or not (taken := self._take(hand.queues, hand.limit)):
            return None
        give = hand.take(taken, self._session.changed)

        def give_away() -> None:
            give()
            self._session.link.later(AFTERWARDS, self._rouse)

        return give_away

    def _rouse(self) -> None:
        with self._session.changed:
            self._session.changed.notify_all()

    def _waiting(self, queues: Sequence[str]) -> int:
        return sum(h.tap.source[0] in queues for h in self._session.ready)

    def _take(self, queues: Sequence[str], limit: int) -> list[Delivery]:
        """Claim what has been pushed. With `changed` held."""
        session = self._session
        if not session.ready:
            return []
        taken = [h for h in session.ready if h.tap.source[0] in queues]
        if len(taken) > 1:
            taken.sort(key=lambda h: -h.delivery.envelope.priority)
            del taken[limit:]
        if len(taken) == len(session.ready):
            session.ready = []
        else:
            tags = {h.tag for h in taken}
            session.ready = [h for h in session.ready if h.tag not in tags]
        for held in taken:
            self._claims += 1
            held.delivery = replace(held.delivery, token=Token(self._id, self._claims))
            self._claimed[held.delivery.id, self._claims] = held
            self._ids[held.delivery.id] += 1
        return [h.delivery for h in taken]

    def _check(self) -> None:
        lost = self._session.lost
        if lost is not None:
            raise BrokerUnavailable(f"the connection of this worker has ended: {lost}")

    def owned(self) -> Sequence[Delivery]:
        with self._session.changed:
            return [] if self._session.lost is not None else [h.delivery for h in self._claimed.values()]

    def wake(self) -> None:
        with self._session.changed:
            self._woken = True
            self._session.changed.notify_all()

    # -- settling -------------------------------------------------------------------------------------------------------

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        with self._settling:
            verdicts: list[Verdict] = []
            todo: dict[Key, tuple[Settlement, Held]] = {}
            with self._session.changed:
                for s in batch:
                    verdict, held = self._judge(s, todo)
                    verdicts.append(verdict)
                    if held is not None:
                        todo[s.id, s.token.claim] = (s, held)
            plain = {k: held for k, (s, held) in todo.items() if not s.publish and not isinstance(s.outcome, (Again, Dead))}
            self._forget(plain)
            rest = {k: pair for k, pair in todo.items() if k not in plain}
            if rest:
                try:
                    self._publish(list(rest.values()))
                except BrokerError as error:
                    self._written.update(dict.fromkeys(plain, "ok"))
                    if isinstance(error, PublishUnknown):
                        raise BrokerUnavailable(str(error)) from error
                    raise
                self._forget({k: held for k, (_, held) in rest.items()})
            self._written.clear()
            return verdicts

    def _judge(self, s: Settlement, todo: dict[Key, tuple[Settlement, Held]]) -> tuple[Verdict, Held | None]:
        key = (s.id, s.token.claim)
        if key in self._written:
            return self._written[key], None
        if self._session.lost is not None or not self._ids.get(s.id) or key in todo:
            return "gone", None
        held = self._claimed.get(key)
        if held is None or s.token.worker != self._id:
            return "stale", None
        return "ok", held

    def _publish(self, pairs: Sequence[tuple[Settlement, Held]]) -> None:
        messages: list[Message] = []
        queues: set[str] = set()
        now = clock()
        for s, held in pairs:
            d = held.delivery
            for e in s.publish:
                queues.add(e.queue)
                messages.append(self._store.message(e.id, e.task, first(e, now), e.body, e.due_at(now) - now))
            if isinstance(s.outcome, Again):
                o = s.outcome
                meta = again(d, now + o.delay if o.delay > 0 else 0.0, o.counted)
                messages.append(self._store.message(d.id, d.envelope.task, meta, d.envelope.body, o.delay))
                queues.add(d.envelope.queue)
            elif isinstance(s.outcome, Dead):
                messages.append(letters.dead(self._store, d, s.outcome, now, self._id))
                queues.add(d.envelope.queue)
        self._store.publish(messages, queues)

    def _forget(self, done: dict[Key, Held]) -> None:
        with self._session.changed:
            for key in done:
                if self._claimed.pop(key, None) is not None:
                    self._ids[key[0]] -= 1
                    if not self._ids[key[0]]:
                        del self._ids[key[0]]
        self._session.acknowledge(list(done.values()))

    # -- living ---------------------------------------------------------------------------------------------------------

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        """Progress is not kept: there is nowhere to keep it."""
        self.news = False
        lost = self._session.lost is not None
        return Beat(owned=0 if lost else len(self._claimed), lost=lost)

    def close(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._leave in self._store.closing:
            self._store.closing.remove(self._leave)
        claimed = {h.tag for h in self._claimed.values()}

        def back(held: Held) -> tuple[Held, Message, str]:
            d = held.delivery
            meta = again(d, 0.0, delivered=held.tag in claimed)
            return held, self._store.message(d.id, d.envelope.task, meta, d.envelope.body, 0.0), d.envelope.queue

        self._session.close(back)

    def _leave(self) -> None:
        """The store is being closed: end the connection. What is still held goes to others, uncounted if that is possible."""
        self.close()
