"""Claims: one thread that asks the broker for as many jobs as can soon start, and gives them to the executors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from tidewheel.contract import Consumer, Settlement
from tidewheel.core.job import Delivery
from tidewheel.core.limits import is_suspect
from tidewheel.core.outcome import Again
from tidewheel.errors import BrokerError
from tidewheel.worker.hub import Hub
from tidewheel.worker.ledger import Ledger
from tidewheel.worker.pause import Pause
from tidewheel.worker.settler import Settler

log = logging.getLogger("tidewheel.worker")

WAIT = 5.0
"""Seconds that one claim may block; only how often an idle worker makes sure that it is idle."""


SOON = 0.05
"""Seconds for which who is full only waits for room: while jobs are short, that is cheaper than to listen to the broker as well."""


class Claimer:
    """One thread, from `start` until `stop`."""

    def __init__(
        self,
        consumer: Callable[[], Consumer],
        queues: Sequence[str],
        ledger: Ledger,
        hub: Hub,
        settler: Settler,
        *,
        trouble: Callable[[BrokerError | None], None],
        news: Callable[[], None],
        idle: Callable[[], None] | None = None,
    ) -> None:
        self._consumer = consumer
        self._queues = queues
        self._ledger = ledger
        self._hub = hub
        self._settler = settler
        self._trouble = trouble
        self._news = news
        self._idle = idle
        self._stopping = threading.Event()
        self._reconcile = False
        self._thread = threading.Thread(target=self._run, name="tidewheel-claimer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Claim no more. Returns when the last claim has been entered in the ledger."""
        self._stopping.set()
        self._consumer().wake()
        with self._ledger.lock:
            self._ledger.room.notify_all()
        self._thread.join(30)

    def reconcile(self) -> None:
        """Ask the broker what it thinks we own, before the next claim (law 6)."""
        self._reconcile = True
        self._consumer().wake()
        with self._ledger.lock:
            self._ledger.room.notify_all()

    def _run(self) -> None:
        pause = Pause()
        while not self._stopping.is_set():
            try:
                if self._reconcile:
                    self._adopt()
                self._claim()
            except BrokerError as error:
                # The call may have claimed all the same: what it claimed is found when the broker answers again.
                self._reconcile = True
                self._trouble(error)
                self._stopping.wait(pause.longer())
            except Exception:
                self._reconcile = True
                log.exception("claiming failed")
                self._stopping.wait(pause.longer())
            else:
                pause.over()

    def _claim(self) -> None:
        limit = self._ledger.appetite(self._settler.unsettled())
        if limit == 0:
            self._wait_for_room()
            return
        # Asked before the claim: an outcome that is written during it may put a job, or one that follows, into a queue just seen empty.
        idle = self._idle is not None and not self._ledger.held() and not self._settler.unsettled()
        try:
            deliveries = self._consumer().claim(self._queues, limit, 0.0 if self._idle is not None else WAIT, self._take)
        finally:
            self._hub.watch()
        self._trouble(None)
        if self._consumer().news:
            self._news()
        if deliveries:
            self._accept(deliveries)
        elif self._idle is not None and idle:
            self._idle()
            self._stopping.wait()

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Give them to the executors, in a thread of the engine's, while we wait in a claim."""
        self._hub.send(self._ledger.accept(self._one_suspect(deliveries)))

    def _accept(self, deliveries: Sequence[Delivery]) -> None:
        self._hub.dispatch(self._ledger.accept(self._one_suspect(deliveries)))

    def _wait_for_room(self) -> None:
        """While we are full: until there is room. When jobs are long, also hear of cancellations meanwhile."""
        ledger = self._ledger
        consumer = self._consumer()
        with ledger.lock:
            if not self._full() or ledger.room.wait(SOON) or not self._full():
                return
            ledger.knock = consumer.wake
        try:
            consumer.claim(self._queues, 0, 0.5 if ledger.held() else WAIT)
        finally:
            with ledger.lock:
                ledger.knock = None
        self._trouble(None)
        if consumer.news:
            self._news()

    def _full(self) -> bool:
        return self._ledger.appetite(self._settler.unsettled()) == 0 and not self._stopping.is_set() and not self._reconcile

    def _one_suspect(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Keep at most one suspect, last; the others would be hit if it kills this worker."""
        suspects = [d for d in deliveries if is_suspect(d.losses)]
        if not suspects:
            return deliveries
        for delivery in suspects[1:]:
            self._settler.add(Settlement(delivery.envelope.id, delivery.token, Again("returned", 1.0)))
        return [d for d in deliveries if not is_suspect(d.losses)] + suspects[:1]

    def _adopt(self) -> None:
        """Take what the broker thinks we own and we do not know of. It never started: its claim's answer was lost.

        What we know is noted *before* we ask: no claim is under way meanwhile (this is the thread that claims), so whatever is in the
        answer and not in the note never reached us. Asked the other way round, a job that is settled in between would run twice.
        """
        with self._ledger.lock:
            known = self._ledger.keys() | self._settler.keys()
        owned = self._consumer().owned()
        self._reconcile = False
        unknown = [d for d in owned if (d.envelope.id, d.token.claim) not in known]
        if unknown:
            log.info("adopting %d jobs whose claim was not answered", len(unknown))
            self._hub.dispatch(self._ledger.accept(unknown))
