"""A worker's session with both: the carrier hands out messages, the keeper says which of them are to run.

    claim     its own thread: messages, then rows
    settle    another: rows, then what followed, then acknowledgements
    listen    a thread here, which waits for the keeper's news: the keeper is never claimed from, so nobody else would hear of them

Acknowledgements come from two threads, so they are gathered under a lock (`_owed`) and written by whoever comes next. One that cannot be
written now is written later or never: then its message comes again, and finds that its job has ended.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from msgspec.structs import replace

from tidewheel.backends.tracked.pair import Pair
from tidewheel.backends.tracked.tombs import Tombs
from tidewheel.contract import AtOnce, Beat, Progress, Settlement, Verdict, WorkerInfo
from tidewheel.contract import Consumer as CarrierConsumer
from tidewheel.core.job import Delivery, Envelope, Token
from tidewheel.core.outcome import Again, AnyOutcome, Succeeded
from tidewheel.errors import BrokerError
from tidewheel.ids import incarnation

log = logging.getLogger("tidewheel.tracked")

LISTEN = 5.0
"""Seconds for which one call that waits for news may block."""

Key = tuple[str, int]


class Consumer:
    """See `tidewheel.contract.Consumer`."""

    def __init__(self, pair: Pair, tombs: Tombs, info: WorkerInfo) -> None:
        self._pair = pair
        self._tombs = tombs
        self._info = info
        self._kept = pair.tracker.consumer(replace(info, queues=tuple(map(pair.naming.inside, info.queues))))
        try:
            self._carried: CarrierConsumer = pair.carrier.consumer(info)
        except BaseException:
            self._kept.close()
            raise
        self.lifeline = self._kept.lifeline or self._carried.lifeline
        self.beat_every = min(self._kept.beat_every, self._carried.beat_every)
        self._unclean = False
        """Whether the carrier may have handed out messages of which we do not know what the keeper said."""
        self._claiming = threading.Lock()
        """Held during a claim, so that no session with the carrier is closed under one."""
        self._lock = threading.Lock()
        self._messages: dict[Key, Token] = {}
        """The carrier's token of each delivery that is held, by id and the keeper's claim."""
        self._owed: list[Settlement] = []
        self._broken = False
        """The session with the carrier is over."""
        self._over = False
        """The keeper's lease is over."""
        self._ended = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="tidewheel-news", daemon=True)
        self._listener.start()

    @property
    def news(self) -> bool:
        return self._kept.news or self._carried.news

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                self._kept.claim((), 0, LISTEN)
            except BrokerError:
                self._ended.wait(1.0)
            except Exception:
                log.exception("waiting for news failed")
                self._ended.wait(1.0)
            if self._kept.news:
                self._carried.wake()

    # -- claiming -------------------------------------------------------------------------------------------------------

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        with self._claiming:
            if self._over:
                return []
            if self._broken:
                self._reconnect()
            if self._unclean:
                found = self._reconcile()
                self._unclean = False
                if found:
                    return found
            while True:
                self._unclean = limit > 0
                messages = self._carried.claim(queues, limit, wait)
                taken = self._take(messages)
                self._unclean = False
                if taken or not messages:
                    return taken
                # None of them was to run. Behind them may be others, and who hears of nothing takes the queue for empty.
                wait = 0.0

    def _take(self, messages: Sequence[Delivery]) -> list[Delivery]:
        """Those of these messages that are to run; the others go back or away."""
        if not messages:
            return []
        naming = self._pair.naming
        buried = self._tombs.among(messages)
        good = [m for m in messages if m.id not in buried] if buried else messages
        answers = self._kept.take([naming.carried(m) for m in good])
        taken: list[Delivery] = []
        over = [Settlement(m.id, m.token, Succeeded(None, 0.0)) for m in messages if m.id in buried]
        with self._lock:
            for message, answer in zip(good, answers, strict=True):
                if isinstance(answer, Delivery):
                    self._messages[answer.id, answer.token.claim] = message.token
                    taken.append(naming.delivered(answer))
                else:
                    over.append(
                        Settlement(message.id, message.token, Succeeded(None, 0.0) if answer is None else Again("returned", answer))
                    )
        self._acknowledge(over)
        return taken

    def _reconcile(self) -> list[Delivery]:
        """What the carrier handed out in a call that did not end well: an answer was lost, or the keeper was away."""
        with self._lock:
            known = {(id_, token) for (id_, _), token in self._messages.items()} | {(s.id, s.token) for s in self._owed}
            strays = [m for m in self._carried.owned() if (m.id, m.token) not in known]
        if not strays:
            return []
        mine = {d.id: d for d in self._kept.owned()}
        unknown = []
        with self._lock:
            for message in strays:
                held = mine.get(message.id)
                # Taken, and only the keeper's answer was lost: the worker finds it when it asks what it owns.
                if held is not None and (held.id, held.token.claim) not in self._messages:
                    self._messages[held.id, held.token.claim] = message.token
                else:
                    unknown.append(message)
        return self._take(unknown)

    def owned(self) -> Sequence[Delivery]:
        return [self._pair.naming.delivered(delivery) for delivery in self._kept.owned()]

    def wake(self) -> None:
        self._carried.wake()

    # -- settling -------------------------------------------------------------------------------------------------------

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        stored = self._pair.naming.stored
        verdicts = self._kept.settle([replace(s, publish=tuple(map(stored, s.publish))) if s.publish else s for s in batch])
        self._send_followers(batch, verdicts)
        with self._lock:
            owed = [
                Settlement(s.id, token, _fact(s.outcome) if verdict == "ok" else Again("returned"))
                for s, verdict in zip(batch, verdicts, strict=True)
                if (token := self._messages.pop((s.id, s.token.claim), None)) is not None
            ]
        self._acknowledge(owed)
        return verdicts

    def _send_followers(self, batch: Sequence[Settlement], verdicts: Sequence[Verdict]) -> None:
        """Messages for the jobs that came with outcomes. If this fails or never happens, they will be found missing, and sent."""
        sure: list[Envelope] = []
        perhaps: list[Envelope] = []
        for settlement, verdict in zip(batch, verdicts, strict=True):
            for envelope in settlement.publish:
                if verdict == "ok" and envelope.key is None:
                    sure.append(envelope)
                elif verdict != "stale":  # its key may be taken; or the outcome was written by a call whose answer was lost
                    perhaps.append(envelope)
        if perhaps:
            waiting = self._pair.waiting([envelope.id for envelope in perhaps])
            sure += [envelope for envelope in perhaps if envelope.id in waiting]
        try:
            self._pair.send(sure)
        except BrokerError as error:
            log.warning("%d follow-up jobs are stored, and their messages are sent later: %s", len(sure), error)

    def _acknowledge(self, more: Sequence[Settlement]) -> None:
        """Tell the carrier what became of its messages, now or at a later call."""
        with self._lock:
            self._owed.extend(more)
            if not self._owed:
                return
            try:
                self._carried.settle(self._owed)
            except BrokerError:
                return
            self._owed.clear()

    # -- living ---------------------------------------------------------------------------------------------------------

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        beat = self._kept.beat(progress)
        try:
            if beat.lost:
                self._leave()
            else:
                self._tend()
        except BrokerError:
            # The next claim says so, or the next beat finds it well again.
            pass
        return beat

    def _tend(self) -> None:
        """Look after the session with the carrier."""
        carried = self._carried.beat()
        if carried.lost:
            # Whoever claims opens another: that may take as long as it likes, and a beat may not.
            self._broken = True
            self._carried.wake()
            return
        self._acknowledge(())
        with self._lock:
            if carried.owned > len(self._messages) + len(self._owed):
                self._unclean = True  # or a claim is under way: then it finds nothing

    def _reconnect(self) -> None:
        """A new session with the carrier. The messages of the old one come again, and find that their jobs run here."""
        fresh = self._pair.carrier.consumer(replace(self._info, id=incarnation()))
        with self._lock:
            old, self._carried = self._carried, fresh
            self._messages.clear()
            self._owed.clear()
            self._broken = self._unclean = False
        log.warning("the connection of this worker to the carrier was lost; its jobs go on, and it takes new ones on another")
        old.close()

    def _leave(self) -> None:
        """The keeper's lease is over: give the messages back, for nobody calls this session again."""
        self._ended.set()
        if not self._over:
            self._over = True
            self._carried.wake()
            with self._claiming:
                with self._lock:
                    self._messages.clear()
                    self._owed.clear()
                self._carried.close()

    def close(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._kept.wake()
            self._listener.join(LISTEN)
        self._kept.close()
        if not self._over:
            self._acknowledge(())
            self._carried.close()


def _fact(outcome: AnyOutcome) -> AnyOutcome:
    """What the carrier must know: whether the message is needed again, and its counters, should the keeper lose its own."""
    return replace(outcome, error=b"") if isinstance(outcome, Again) else Succeeded(None, 0.0)
