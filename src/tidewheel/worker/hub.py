"""The hub: one thread that hears everything the executors say.

    hears      outcomes → ledger → settler; what is pending → executors with room
    watches    limits, cancellations, what waits too long      (warden.py)
    replaces   executors that ended                            (roster.py)
    decides    what their end means for their jobs             (judge.py)
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from tidewheel import events
from tidewheel.contract import Settlement
from tidewheel.core.job import Delivery
from tidewheel.core.limits import is_suspect
from tidewheel.core.outcome import Again, AnyOutcome, Interrupted, Unstarted
from tidewheel.worker.crew import Crew, exit_text
from tidewheel.worker.frames import Bloated, Ended, Key, Manifest, Quit, Ready, Reported, Returned, Run, Setup, Started, TakeBack, Tell
from tidewheel.worker.judge import Judge
from tidewheel.worker.ledger import Assignment, Flight, Ledger, Seat
from tidewheel.worker.link import Link
from tidewheel.worker.options import WorkerOptions
from tidewheel.worker.roster import CONTROL, Roster
from tidewheel.worker.settler import Settler
from tidewheel.worker.telling import EVENT_OF, event_of
from tidewheel.worker.warden import NEVER, Warden

log = logging.getLogger("tidewheel.worker")

NAP = 0.001
"""Seconds for which a reader of many small outcomes waits for more of them at most (docs/decisions/0002-frames.md)."""

_encoder = msgspec.msgpack.Encoder()


class Hub:
    """Everything public may be called from any thread."""

    def __init__(
        self,
        options: WorkerOptions,
        crew: Crew,
        manifest: Manifest,
        ledger: Ledger,
        settler: Settler,
        emitter: events.Emitter,
        setup: Setup,
        executors: int,
        progress: Callable[[Key, bytes], None],
    ) -> None:
        self.ready = threading.Event()
        """At least one executor has been ready."""
        self.cut = 0
        """Runs that were cut short and handed back."""
        self._name = options.name or ""
        self._most = options.max_tasks_per_child
        self._ledger = ledger
        self._settler = settler
        self._emitter = emitter
        self._progress = progress
        self._selector = selectors.DefaultSelector()
        self._bell, self._ring = os.pipe()
        for end in (self._bell, self._ring):
            os.set_blocking(end, False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._todo: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._done = threading.Event()
        self._judge = Judge(manifest, options)
        self._roster = Roster(crew, ledger, setup, executors, self._selector, self._write_later, self._died, self._imported)
        self._warden = Warden(options, self._judge, ledger, self._roster, settler)
        self._thread = threading.Thread(target=self._run, name="tidewheel-hub", daemon=True)

    # -- called from other threads ------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def dispatch(self, assignment: Assignment) -> None:
        """Send jobs to the executors they were given to, and watch them."""
        self.send(assignment)
        self.watch()

    def send(self, assignment: Assignment) -> None:
        """The same for who will say `watch` soon. Woken now, the hub would take the processor from the executors."""
        for seat, deliveries in assignment.items():
            self._roster.send(seat.number, Run(tuple(deliveries)))

    def watch(self) -> None:
        if self._warden.look_at == NEVER and self._ledger.held():
            self.later(self._warden.look_soon)

    def later(self, action: Callable[[], None]) -> None:
        """Run this in the hub's thread, soon."""
        self._todo.append(action)
        try:
            os.write(self._ring, b"\0")
        except BlockingIOError:
            pass

    def cancel(self, ids: Iterable[str]) -> None:
        """The cancellation of these jobs was asked for."""
        ids = tuple(ids)
        self.later(lambda: self._warden.cancel(ids))

    def announce(self, message: bytes) -> None:
        """Tell every executor of a broadcast."""
        self.later(lambda: self._announce(message))

    def hand_back(self) -> None:
        """Start nothing more: everything that has not started goes to the settler as unstarted."""
        self.later(self._hand_back)

    def interrupt(self) -> None:
        """Cut short everything that runs."""
        self.later(self._warden.interrupt)

    def kill(self) -> None:
        """End all executors at once."""
        self.later(self._roster.kill_all)

    def close(self) -> None:
        """End the executors and this thread."""
        self.later(self._done.set)
        self._thread.join(10)
        if not self._thread.is_alive():
            # Not by the thread itself: it may have ended before `later` has rung.
            os.close(self._bell)
            os.close(self._ring)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._done.is_set():
            self._roster.fill()
            patience = min(self._warden.look_at, self._roster.next_moment()) - time.monotonic()
            for key, mask in self._selector.select(min(5.0, max(0.0, patience))):
                if isinstance(key.data, Link):
                    if mask & selectors.EVENT_WRITE and key.data.flush():
                        self._selector.modify(key.data.sock, selectors.EVENT_READ, key.data)
                    if mask & selectors.EVENT_READ:
                        self._hear(key.data)
                elif key.data == CONTROL:
                    self._roster.poll()
                else:
                    os.read(self._bell, 65_536)
            while self._todo:
                self._todo.popleft()()
            self._roster.bury()
            if time.monotonic() >= self._warden.look_at:
                self._warden.look()
        self._roster.close()
        self._selector.close()

    def _write_later(self, link: Link) -> None:
        self.later(lambda: self._want_write(link))

    def _want_write(self, link: Link) -> None:
        if link.open and not link.flush():
            self._selector.modify(link.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, link)

    # -- hearing ------------------------------------------------------------------------------------------------------

    def _hear(self, link: Link) -> None:
        ledger, heard = self._ledger, 0
        settlements: list[Settlement] = []
        # Under the lock, because a delivery must at every moment be in the ledger or with the settler: `Claimer._adopt` relies on it.
        with ledger.lock:
            for message in link.read():
                if type(message) is Ended:
                    heard += 1
                    self._hear_end(message, settlements)
                elif type(message) is Started:
                    ledger.started(message.key)
                    self._warden.look_soon()
                else:
                    self._hear_rarely(link, message)
            if settlements:
                self._settler.extend(settlements)
            if heard:
                ledger.ended_some(self._settler.unsettled())
        seat = ledger.seats.get(link.number)
        if heard and seat is not None and self._most is not None and seat.given >= self._most:
            self._roster.retire(link.number)
        if heard and seat is not None and seat.state == "retiring" and not seat.flights:
            self._roster.send(link.number, Quit())
        if heard and ledger.pending:
            self.dispatch(ledger.seat_pending())
        if not link.open:
            self._roster.ended(link)
        elif heard > 1 and seat is not None and seat.flights:
            # Jobs are short and more are on their way: one wake-up for many outcomes is cheaper than one each.
            nap = min(NAP, len(seat.flights) / 4 * (ledger.average or 0.0))
            if nap >= NAP / 10:
                time.sleep(nap)

    def _hear_end(self, message: Ended, settlements: list[Settlement]) -> None:
        flight = self._ledger.finished(message.key, message.duration)
        if flight is None:
            return
        outcome = message.outcome
        if type(outcome) is Again and outcome.event == "interrupted":
            self.cut += 1
        if not message.written:
            settlements.append(Settlement(flight.delivery.envelope.id, flight.delivery.token, outcome, message.publish))
        self._tell(flight.delivery, outcome, message.duration)

    def _worker_started(self, link: Link) -> None:
        event = events.WorkerStarted(worker=self._name)
        self._emitter.emit(event)
        if type(event).__name__ in self._judge.manifest.listens:
            self._roster.send(link.number, Tell(_encoder.encode(event)))

    def _hear_rarely(self, link: Link, message: object) -> None:
        match message:
            case Ready(pid):
                self._roster.started(link.number)
                self._emitter.emit(events.ExecutorStarted(worker=self._name, pid=pid))
                if not self.ready.is_set():
                    self.ready.set()
                    self._worker_started(link)
                self.dispatch(self._ledger.seat_pending())
            case Returned(keys):
                self._came_back(self._ledger.returned(keys))
            case Reported(key, data):
                self._progress(key, data)
            case Bloated(rss):
                log.info("executor %s holds %d MiB: it is replaced", self._roster.pid(link.number), rss >> 20)
                self._roster.retire(link.number)

    def _came_back(self, deliveries: list[Delivery]) -> None:
        """Unstarted jobs: to executors that are idle, else back to the broker so that other workers can have them."""
        ledger = self._ledger
        if not self._stopping and deliveries:
            ledger.pending.extendleft(reversed(deliveries))
            self.dispatch(ledger.seat_pending())
            deliveries = [d for d in ledger.pending if not is_suspect(d.losses)]
            ledger.pending = deque(d for d in ledger.pending if is_suspect(d.losses))
        self._give_back(deliveries)

    def _give_back(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._settler.add(Settlement(delivery.envelope.id, delivery.token, self._judge.outcome(delivery, Unstarted())))

    def _announce(self, message: bytes) -> None:
        for number in self._roster.ready():
            self._roster.send(number, Tell(message))

    def _hand_back(self) -> None:
        self._stopping = self._warden.stopping = self._roster.stopping = True
        with self._ledger.lock:
            for seat, keys in self._ledger.unstarted().items():
                self._roster.send(seat.number, TakeBack(tuple(keys)))
            self._give_back(self._ledger.pending)
            self._ledger.pending.clear()

    # -- ends of executors --------------------------------------------------------------------------------------------

    def _imported(self, manifest: Manifest) -> None:
        self._judge.manifest = manifest

    def _died(self, number: int, pid: int, status: int | None, forkserver: str | None) -> None:
        with self._ledger.lock:  # see `_hear`
            seat, running, unstarted = self._ledger.unseat(number)
            if seat is None:
                return
            retired = seat.state == "retiring" and not running
            if seat.state == "starting" and not self._stopping:
                self._roster.never_started(status)
            why = f"with the forkserver ({forkserver})" if forkserver is not None else exit_text(status)
            self._emitter.emit(events.ExecutorEnded(worker=self._name, pid=pid, why="retired" if retired else why))
            self._settle_dead(seat, running, why, blame=len(running) == 1 and forkserver is None)
            if self._stopping:
                self._give_back(unstarted)
            else:
                self._ledger.pending.extendleft(reversed(unstarted))
        self.dispatch(self._ledger.seat_pending())

    def _settle_dead(self, seat: Seat, running: Iterable[Flight], why: str, *, blame: bool) -> None:
        now = time.monotonic()
        for flight in running:
            ending = self._judge.death(flight, seat, why, blame=blame, stopping=self._stopping)
            self.cut += isinstance(ending, Interrupted)
            outcome = self._judge.outcome(flight.delivery, ending, cancelled=flight.cancel)
            self._settler.add(Settlement(flight.delivery.envelope.id, flight.delivery.token, outcome))
            self._tell(flight.delivery, outcome, now - (flight.started or now), nobody_else=True)

    def _tell(self, delivery: Delivery, outcome: AnyOutcome, duration: float, *, nobody_else: bool = False) -> None:
        """Emit the event of an outcome here, and to the app's own listeners if no executor has done that."""
        kind = EVENT_OF.get(type(outcome))
        if kind is None:
            return
        if self._emitter.wants(kind):
            self._emitter.emit(event_of(delivery, outcome, duration))
        if nobody_else and kind.__name__ in self._judge.manifest.listens:
            for number in self._roster.ready():
                self._roster.send(number, Tell(_encoder.encode(event_of(delivery, outcome, duration))))
                return
