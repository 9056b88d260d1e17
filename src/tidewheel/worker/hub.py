"""The hub: one thread that hears everything the executors say, watches limits, and replaces executors that end.

    reads    outcomes → ledger → settler; what is pending → executors with room
    watches  soft and hard limits, cancellations, and what waits too long behind a long run (handed to idle executors, or handed back)
    replaces executors that died (and decides what that means for their jobs), were used up, or grew too large

An interruption escalates: `Stop` into the run, after `kill_after` SIGTERM to its executor, after as long again SIGKILL. Where other
jobs run in the same executor, they first get the grace time to end, and a replacement takes the new jobs.
"""

from __future__ import annotations

import logging
import os
import random
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from tidewheel import events
from tidewheel.contract import Settlement
from tidewheel.core.job import Delivery
from tidewheel.core.limits import is_suspect
from tidewheel.core.options import NO_RETRY, Options, effective
from tidewheel.core.outcome import (
    Again,
    AnyEnding,
    AnyOutcome,
    Counters,
    Crashed,
    Interrupted,
    Lost,
    OverTime,
    Stopped,
    Unstarted,
    decide,
)
from tidewheel.errors import ErrorRecord
from tidewheel.task import OVERRIDES
from tidewheel.wire.failures import encode_error
from tidewheel.worker.crew import Crew, ForkserverGone, exit_text
from tidewheel.worker.frames import (
    Bloated,
    Ended,
    Key,
    Manifest,
    Quit,
    Ready,
    Reported,
    Returned,
    Run,
    Setup,
    Started,
    Stop,
    TakeBack,
    Tell,
    Why,
)
from tidewheel.worker.ledger import Assignment, Flight, Ledger, Seat
from tidewheel.worker.link import Link
from tidewheel.worker.options import WorkerOptions
from tidewheel.worker.pause import Pause
from tidewheel.worker.settler import Settler
from tidewheel.worker.telling import EVENT_OF, event_of

log = logging.getLogger("tidewheel.worker")

STEAL_AFTER = 1.0
"""Seconds that a job waits behind a running one before it is taken back."""
SUSPECT_PATIENCE = 30.0
"""Seconds for which a suspect waits to be alone before it is handed back."""
NAP = 0.001

_json = msgspec.msgpack.Encoder()


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
        self._options = options
        self._crew = crew
        self._manifest = manifest
        self._ledger = ledger
        self._settler = settler
        self._emitter = emitter
        self._setup = setup
        self._wanted = executors
        self._progress = progress
        self._links: dict[int, Link] = {}
        self._number = 0
        self._selector = selectors.DefaultSelector()
        self._bell, self._ring = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._ring, False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._todo: list[Callable[[], None]] = []
        self._look_at = 0.0
        self._launch_pause = Pause(0.1, 30.0)
        self._launch_at = 0.0
        self._stopping = False
        self._forkserver_gone: str | None = None
        self._zombies: dict[int, float] = {}
        self._statuses: dict[int, int] = {}
        self.ready = threading.Event()
        """At least one executor is ready."""
        self.cut = 0
        self._done = threading.Event()
        self._policies: dict[str, Options] = manifest.tasks
        self._default = Options(retry=NO_RETRY)
        self._thread = threading.Thread(target=self._run, name="tidewheel-hub", daemon=True)

    # -- called from other threads ------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def dispatch(self, assignment: Assignment) -> None:
        """Send jobs to the executors they were given to."""
        for seat, deliveries in assignment.items():
            link = self._links.get(seat.number)
            if link is not None:
                link.send([Run(tuple(deliveries))])
        if self._look_at == float("inf") and self._ledger.held():
            self.later(self._look_soon)

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
        self.later(lambda: self._cancel(ids))

    def hand_back(self) -> None:
        """Take back everything that has not started; it goes to the settler as unstarted."""
        self.later(self._hand_back)

    def interrupt(self) -> None:
        """Cut short everything that runs."""
        self.later(self._interrupt)

    def kill(self) -> None:
        """End all executors at once."""
        self.later(self._kill)

    def close(self) -> None:
        """End the executors and this thread. What still runs is cut."""
        self.later(self._done.set)
        self._thread.join(10)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        if self._crew.control is not None:
            self._selector.register(self._crew.control, selectors.EVENT_READ, "control")
        while not self._done.is_set():
            self._fill_seats()
            for key, mask in self._selector.select(self._patience()):
                if isinstance(key.data, Link):
                    if mask & selectors.EVENT_WRITE and key.data.flush():
                        self._selector.modify(key.data.sock, selectors.EVENT_READ, key.data)
                    if mask & selectors.EVENT_READ:
                        self._hear(key.data)
                elif key.data == "control":
                    self._poll_crew()
                else:
                    os.read(self._bell, 65_536)
            todo, self._todo = self._todo, []
            for action in todo:
                action()
            if time.monotonic() >= self._look_at:
                self._look()
        for link in list(self._links.values()):
            link.close()
        self._selector.close()
        self._crew.close()
        os.close(self._bell)
        os.close(self._ring)

    def _patience(self) -> float:
        moments = [self._look_at]
        if len(self._ledger.seats) < self._wanted and not self._stopping:
            moments.append(self._launch_at)
        if self._zombies:
            moments.append(time.monotonic() + 0.05)
        return min(5.0, max(0.0, min(moments) - time.monotonic()))

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
                    self._look_soon()
                else:
                    self._hear_rarely(link, message)
            if settlements:
                self._settler.extend(settlements)
                ledger.ended_some(self._settler.unsettled())
        if settlements:
            self._use_up(link)
        if heard and ledger.pending:
            self.dispatch(ledger.seat_pending())
        if not link.open:
            self._gone(link)
        elif heard > 1 and (window := len(seat.flights) if (seat := ledger.seats.get(link.number)) else 0):
            # Jobs are short and more are on their way: one wake-up for many outcomes is cheaper than one each (decision 0002).
            nap = min(NAP, window / 4 * (ledger.average or 0.0))
            if nap >= NAP / 10:
                time.sleep(nap)

    def _hear_end(self, message: Ended, settlements: list[Settlement]) -> None:
        flight = self._ledger.finished(message.key, message.duration)
        if flight is None:
            return
        outcome = message.outcome
        if type(outcome) is Again and outcome.event == "interrupted":
            self.cut += 1
        settlements.append(Settlement(flight.delivery.envelope.id, flight.delivery.token, outcome))
        self._tell(flight.delivery, outcome, message.duration)

    def _hear_rarely(self, link: Link, message: object) -> None:
        match message:
            case Ready(pid):
                seat = self._ledger.seats.get(link.number)
                if seat is not None:
                    with self._ledger.lock:
                        seat.state = "ready" if seat.state == "starting" else seat.state
                        self._ledger.room.notify_all()
                self._launch_pause.over()
                self._emitter.emit(events.ExecutorStarted(worker=self._name, pid=pid))
                if not self.ready.is_set():
                    self.ready.set()
                    self._emitter.emit(events.WorkerStarted(worker=self._name))
                self.dispatch(self._ledger.seat_pending())
            case Returned(keys):
                self._came_back(self._ledger.returned(keys))  # under the lock that `_hear` holds
            case Reported(key, data):
                self._progress(key, data)
            case Bloated(rss):
                log.info("executor %s holds %d MiB: it is replaced", self._crew.pid(link.number), rss >> 20)
                self._retire(link.number)

    @property
    def _name(self) -> str:
        return self._options.name or ""

    def _came_back(self, deliveries: list[Delivery]) -> None:
        """Unstarted jobs: to executors that are idle, else back to the broker so that other workers can have them."""
        if not deliveries:
            return
        ledger = self._ledger
        if not self._stopping:
            ledger.pending.extendleft(reversed(deliveries))
            self.dispatch(ledger.seat_pending())
            deliveries = [d for d in ledger.pending if not is_suspect(d.losses)]
            ledger.pending = deque(d for d in ledger.pending if is_suspect(d.losses))
        self._give_back(deliveries)

    def _give_back(self, deliveries: Iterable[Delivery], ending: AnyEnding | None = None) -> None:
        for delivery in deliveries:
            outcome = self._decide(delivery, ending or Unstarted(), False)
            self._settler.add(Settlement(delivery.envelope.id, delivery.token, outcome))

    # -- watching -----------------------------------------------------------------------------------------------------

    def _look_soon(self) -> None:
        self._look_at = min(self._look_at, time.monotonic() + 0.01)

    def _look(self) -> None:
        """Limits, escalations, and what waits too long. Sets when to look again: never, while there is nothing to look at."""
        now = time.monotonic()
        # Under the lock up to the last line: whoever enters a delivery either is seen here or sees the `_look_at` that is set here.
        with self._ledger.lock:
            running = [f for s in self._ledger.seats.values() for f in self._running(s)]
            moments = [self._watch(flight, now) for flight in running]
            if running:
                moments.append(now + STEAL_AFTER / 2)
            if not self._stopping:
                for seat, keys in self._ledger.unstarted(STEAL_AFTER).items():
                    self._send(seat, [TakeBack(tuple(keys))])
            if self._ledger.pending:
                self._hand_on(now)
                moments.append(now + STEAL_AFTER / 4)
            self._look_at = min(moments, default=float("inf"))

    def _hand_on(self, now: float) -> None:
        """Back to the broker with what has found no room here for a second, or, a suspect, no moment alone for half a minute."""
        ledger = self._ledger
        suspect = is_suspect(ledger.pending[0].losses)
        if now - ledger.waiting_since < (SUSPECT_PATIENCE if suspect else STEAL_AFTER):
            return
        outcome = Again("returned", 10.0 if suspect else 0.0)
        for delivery in list(ledger.pending)[: 1 if suspect else None]:
            ledger.pending.remove(delivery)
            self._settler.add(Settlement(delivery.envelope.id, delivery.token, outcome))
        ledger.waiting_since = now
        ledger.room.notify_all()

    def _running(self, seat: Seat) -> list[Flight]:
        if seat.slots == 1:
            first = next(iter(seat.flights.values()), None)
            return [first] if first is not None and first.started is not None else []
        return [f for f in seat.flights.values() if f.started is not None]

    def _watch(self, flight: Flight, now: float) -> float:
        """Act on one run's limits; the moment at which to look at it again."""
        if flight.stop_sent is not None:
            return self._escalate(flight, now)
        soft, hard = self._limits(flight.delivery)
        assert flight.started is not None
        age = now - flight.started
        if hard is not None and age >= hard:
            self._stop(flight, "hard", now)
            return now + self._options.kill_after
        if soft is not None and not flight.soft_sent and age >= soft:
            flight.soft_sent = True
            if flight.seat is not None:
                self._send(flight.seat, [Stop(flight.key, "soft")])
        waits = [limit - age for limit in (soft if not flight.soft_sent else None, hard) if limit is not None]
        return now + max(0.0, min(waits, default=float("inf")))

    def _limits(self, delivery: Delivery) -> tuple[float | None, float | None]:
        policy = self._policy(delivery)
        soft, hard = policy.soft_time_limit, policy.time_limit
        caps = self._options.soft_time_limit, self._options.time_limit
        return (
            soft if caps[0] is None else caps[0] if soft is None else min(soft, caps[0]),
            hard if caps[1] is None else caps[1] if hard is None else min(hard, caps[1]),
        )

    def _stop(self, flight: Flight, why: Why, now: float) -> None:
        flight.why = why
        flight.stop_sent = now
        if flight.seat is not None:
            self._send(flight.seat, [Stop(flight.key, why)])

    def _escalate(self, flight: Flight, now: float) -> float:
        """The run was told to stop `kill_after` ago and has not: end its process, neighbours first allowed to finish."""
        assert flight.stop_sent is not None
        patience = self._options.kill_after
        due = flight.stop_sent + patience * (flight.killing + 1)
        if now < due:
            return due
        seat = flight.seat
        if seat is None:
            return float("inf")
        neighbours = len(self._running(seat)) > 1
        if neighbours and flight.killing == 0 and not self._stopping and now < flight.stop_sent + patience + self._options.grace:
            if seat.state == "ready":
                log.warning("job %s ignores its interruption: executor %s is replaced", flight.key[0], self._crew.pid(seat.number))
                self._retire(seat.number, quit_=False)
            return now + 0.25
        seat.forced = True
        sig = signal.SIGTERM if flight.killing == 0 else signal.SIGKILL
        if flight.killing == 0:
            log.warning("job %s ignores its interruption: ending executor %s", flight.key[0], self._crew.pid(seat.number))
        self._crew.kill(seat.number, sig)
        flight.killing += 1
        return now + patience

    def _cancel(self, ids: tuple[str, ...]) -> None:
        now = time.monotonic()
        for job_id in ids:
            for flight in self._ledger.find(job_id):
                if not flight.cancel:
                    flight.cancel = True
                    if flight.stop_sent is None:
                        self._stop(flight, "cancel", now)
            with self._ledger.lock:
                waiting = [d for d in self._ledger.pending if d.envelope.id == job_id]
                for delivery in waiting:
                    self._ledger.pending.remove(delivery)
                self._give_back(waiting, Stopped())
        self._look_soon()

    # -- replacing ----------------------------------------------------------------------------------------------------

    def _fill_seats(self) -> None:
        now = time.monotonic()
        if self._forkserver_gone is not None and not self._stopping and now >= self._launch_at:
            self._restart_forkserver()
        while (
            not self._stopping
            and self._forkserver_gone is None
            and now >= self._launch_at
            and sum(s.state in ("starting", "ready") for s in self._ledger.seats.values()) < self._wanted
        ):
            self._launch()

    def _launch(self) -> None:
        self._number += 1
        number = self._number
        link = Link(number, self._crew.launch(number), self._write_later)
        with self._ledger.lock:
            self._ledger.seats[number] = Seat(number, self._setup.concurrency)
        self._links[number] = link
        self._selector.register(link.sock, selectors.EVENT_READ, link)
        link.send([msgspec.structs.replace(self._setup, number=number)])

    def _restart_forkserver(self) -> None:
        log.warning("starting a new forkserver; the last one ended with %s", self._forkserver_gone)
        try:
            self._manifest = self._crew.start()
        except Exception as error:
            self._launch_at = time.monotonic() + self._launch_pause.longer()
            log.error("the app cannot be imported any more, trying again: %s", error)
            return
        self._policies = self._manifest.tasks
        self._forkserver_gone = None
        if self._crew.control is not None:
            self._selector.register(self._crew.control, selectors.EVENT_READ, "control")

    def _write_later(self, link: Link) -> None:
        self.later(lambda: self._want_write(link))

    def _want_write(self, link: Link) -> None:
        if link.open and not link.flush():
            self._selector.modify(link.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, link)

    def _use_up(self, link: Link) -> None:
        most = self._options.max_tasks_per_child
        seat = self._ledger.seats.get(link.number)
        if most is not None and seat is not None and seat.state == "ready" and seat.given >= most:
            self._retire(link.number)

    def _retire(self, number: int, *, quit_: bool = True) -> None:
        """No new jobs for this executor; what it has not started comes back, what runs may end."""
        seat = self._ledger.seats.get(number)
        if seat is None or seat.state not in ("ready", "starting"):
            return
        with self._ledger.lock:
            seat.state = "retiring"
            keys = tuple(f.key for f in seat.flights.values() if f.started is None)
        self._send(seat, [TakeBack(keys), *([Quit()] if quit_ else [])])

    def _gone(self, link: Link) -> None:
        """The end of an executor's socket, after everything in it was read. Its exit status may still be on its way."""
        self._selector.unregister(link.sock)
        link.close()
        self._zombies[link.number] = time.monotonic() + 1.0
        self._poll_crew() if self._crew.control is None else None
        self._bury()

    def _poll_crew(self) -> None:
        try:
            for exited in self._crew.poll():
                self._statuses[exited.pid] = exited.status
        except ForkserverGone as error:
            self._selector.unregister(self._crew.control)  # type: ignore[arg-type]
            self._forkserver_gone = str(error)
            self._launch_at = time.monotonic() + self._launch_pause.longer()
        self._bury()

    def _bury(self) -> None:
        """Executors whose socket has ended and whose exit status is known, or will not come any more."""
        now = time.monotonic()
        for number, until in list(self._zombies.items()):
            pid = self._crew.pid(number)
            status = self._statuses.pop(pid, None) if pid is not None else None
            if status is None and self._forkserver_gone is None and now < until and pid is not None:
                self._look_soon()
                continue
            del self._zombies[number]
            self._links.pop(number, None)
            self._died(number, pid or 0, status)

    def _died(self, number: int, pid: int, status: int | None) -> None:
        with self._ledger.lock:
            self._settle_dead(number, pid, status)

    def _settle_dead(self, number: int, pid: int, status: int | None) -> None:
        seat, running, unstarted = self._ledger.unseat(number)
        if seat is None:
            return
        retired = seat.state == "retiring" or (status == 0 and not running)
        if not running and not unstarted and seat.given == 0 and not retired and not self._stopping:
            self._launch_at = time.monotonic() + self._launch_pause.longer()  # it cannot even start: do not spin
            log.error("an executor ended (%s) before it was ready", exit_text(status))
        why = "forkserver ended" if self._forkserver_gone is not None else exit_text(status)
        self._emitter.emit(events.ExecutorEnded(worker=self._name, pid=pid, why="retired" if retired and status == 0 else why))
        for flight in running:
            ending = self._ending_of(flight, seat, why, sole=len(running) == 1)
            outcome = self._decide(flight.delivery, ending, flight.cancel)
            if isinstance(ending, Interrupted):
                self.cut += 1
            self._settler.add(Settlement(flight.delivery.envelope.id, flight.delivery.token, outcome))
            self._tell(flight.delivery, outcome, time.monotonic() - (flight.started or time.monotonic()), remote=True)
        if self._stopping:
            self._give_back(unstarted)
        else:
            self._ledger.pending.extendleft(reversed(unstarted))
            self.dispatch(self._ledger.seat_pending())

    def _ending_of(self, flight: Flight, seat: Seat, why: str, *, sole: bool) -> AnyEnding:
        """What the death of its executor means for one run."""
        if flight.why == "hard":
            return OverTime(self._over_time(flight))
        if flight.why == "cancel":
            return Stopped()
        if flight.why == "interrupt" or seat.forced or self._stopping:
            return Interrupted()
        text = f"the executor that ran it died: {why}"
        error = encode_error(ErrorRecord(type="tidewheel.worker.ExecutorDied", message=text))
        if self._forkserver_gone is not None or not sole:
            return Lost(error)  # no exact blame
        return Crashed(error)

    def _over_time(self, flight: Flight) -> bytes:
        limit = self._limits(flight.delivery)[1]
        text = f"ran longer than its time limit of {limit:g} s" if limit is not None else "ran longer than its time limit"
        return encode_error(ErrorRecord(type="tidewheel.errors.HardTimeLimit", message=text))

    # -- stopping -----------------------------------------------------------------------------------------------------

    def _hand_back(self) -> None:
        self._stopping = True
        for seat, keys in self._ledger.unstarted().items():
            self._send(seat, [TakeBack(tuple(keys))])
        with self._ledger.lock:
            pending = list(self._ledger.pending)
            self._ledger.pending.clear()
            self._give_back(pending)

    def _interrupt(self) -> None:
        now = time.monotonic()
        with self._ledger.lock:
            flights = list(self._ledger.flights.values())
        for flight in flights:
            if flight.stop_sent is None:
                self._stop(flight, "interrupt", now)

    def _kill(self) -> None:
        self._stopping = True
        for number, seat in list(self._ledger.seats.items()):
            seat.forced = True
            self._crew.kill(number, signal.SIGKILL)

    # -- small things -------------------------------------------------------------------------------------------------

    def _send(self, seat: Seat, messages: list[object]) -> None:
        link = self._links.get(seat.number)
        if link is not None:
            link.send(messages)

    def _policy(self, delivery: Delivery) -> Options:
        declared = self._policies.get(delivery.envelope.task, self._default)
        header = delivery.envelope.headers.get(OVERRIDES) if delivery.envelope.headers else None
        try:
            return effective(declared, header)
        except ValueError:
            return declared  # the executor says what is wrong with it

    def _decide(self, delivery: Delivery, ending: AnyEnding, cancelled: bool) -> AnyOutcome:
        policy = self._policy(delivery)
        counters = Counters(delivery.attempts, delivery.strikes, delivery.losses)
        return decide(ending, counters, policy.retry, ttl=policy.result_ttl, cancelled=cancelled, dice=random.random())

    def _tell(self, delivery: Delivery, outcome: AnyOutcome, duration: float, *, remote: bool = False) -> None:
        """Emit the event of an outcome here, and to the app's listeners if no executor has done that."""
        kind = EVENT_OF.get(type(outcome))
        if kind is None:
            return
        if self._emitter.wants(kind):
            self._emitter.emit(event_of(delivery, outcome, duration))
        if remote and kind.__name__ in self._manifest.listens:
            for number, seat in self._ledger.seats.items():
                if seat.state == "ready":
                    self._links[number].send([Tell(_json.encode(event_of(delivery, outcome, duration)))])
                    return
