"""Watches the runs: limits, cancellations, and what waits too long behind a long run. Lives in the hub's thread.

An interruption escalates: `Stop` into the run, after `kill_after` SIGTERM to its executor, after as long again SIGKILL. Where other
jobs run in the same executor, they first get the grace time to end, and a replacement takes the new jobs.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterable

from tidewheel.contract import Settlement
from tidewheel.core.limits import is_suspect
from tidewheel.core.outcome import Again, Stopped
from tidewheel.worker.frames import Stop, TakeBack, Why
from tidewheel.worker.judge import Judge
from tidewheel.worker.ledger import Flight, Ledger
from tidewheel.worker.options import WorkerOptions
from tidewheel.worker.roster import Roster
from tidewheel.worker.settler import Settler

log = logging.getLogger("tidewheel.worker")

STEAL_AFTER = 1.0
"""Seconds that a job waits behind a running one before it is taken back."""
SUSPECT_PATIENCE = 30.0
"""Seconds for which a suspect waits to be alone before it is handed back."""
NEVER = float("inf")


class Warden:
    """Methods belong to the hub's thread; `look_at` may be read from any."""

    def __init__(self, options: WorkerOptions, judge: Judge, ledger: Ledger, roster: Roster, settler: Settler) -> None:
        self._options = options
        self._judge = judge
        self._ledger = ledger
        self._roster = roster
        self._settler = settler
        self.stopping = False
        self.look_at = 0.0
        """When to look again, on the monotonic clock; `NEVER` while there is nothing to look at."""

    def look_soon(self) -> None:
        self.look_at = min(self.look_at, time.monotonic() + 0.01)

    def look(self) -> None:
        """Act on everything that is due, and set when to look again."""
        now = time.monotonic()
        # Under the lock up to the last line: whoever enters a delivery either is seen here or sees the `look_at` that is set here.
        with self._ledger.lock:
            running = [flight for seat in self._ledger.seats.values() for flight in seat.running()]
            moments = [self._watch(flight, now) for flight in running]
            if running:
                moments.append(now + STEAL_AFTER / 2)
            if not self.stopping:
                for seat, keys in self._ledger.unstarted(STEAL_AFTER).items():
                    self._roster.send(seat.number, TakeBack(tuple(keys)))
            if self._ledger.pending:
                self._hand_on(now)
                moments.append(now + STEAL_AFTER / 4)
            self.look_at = min(moments, default=NEVER)

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
        ledger.tell_room()

    def _watch(self, flight: Flight, now: float) -> float:
        """Act on one run's limits; the moment at which to look at it again."""
        if flight.stop_sent is not None:
            return self._escalate(flight, now)
        soft, hard = self._judge.limits(flight.delivery)
        age = now - (flight.started or now)
        if hard is not None and age >= hard:
            self._stop(flight, "hard", now)
            return now + self._options.kill_after
        if soft is not None and not flight.soft_sent and age >= soft:
            flight.soft_sent = True
            self._say(flight, "soft")
        waits = [limit - age for limit in (None if flight.soft_sent else soft, hard) if limit is not None]
        return now + max(0.0, min(waits, default=NEVER))

    def _stop(self, flight: Flight, why: Why, now: float) -> None:
        flight.why = why
        flight.stop_sent = now
        self._say(flight, why)

    def _say(self, flight: Flight, why: Why) -> None:
        if flight.seat is not None:
            self._roster.send(flight.seat.number, Stop(flight.key, why))

    def _escalate(self, flight: Flight, now: float) -> float:
        """The run was told to stop `kill_after` ago and has not: end its process, neighbours first allowed to finish."""
        patience, seat, sent = self._options.kill_after, flight.seat, flight.stop_sent
        if seat is None or sent is None:
            return NEVER
        due = sent + patience * (flight.killing + 1)
        if now < due:
            return due
        pid = self._roster.pid(seat.number)
        neighbours = len(seat.running()) > 1
        if neighbours and flight.killing == 0 and not self.stopping and now < sent + patience + self._options.grace:
            if seat.state == "ready":
                log.warning("job %s ignores its interruption: executor %s is replaced", flight.key[0], pid)
                self._roster.retire(seat.number, leave=False)
            return now + 0.25
        seat.forced = True
        if flight.killing == 0:
            log.warning("job %s ignores its interruption: ending executor %s", flight.key[0], pid)
        self._roster.kill(seat.number, signal.SIGTERM if flight.killing == 0 else signal.SIGKILL)
        flight.killing += 1
        return now + patience

    def cancel(self, ids: Iterable[str]) -> None:
        """The cancellation of these jobs was asked for; asked again, nothing more happens."""
        now = time.monotonic()
        with self._ledger.lock:
            for job_id in ids:
                for flight in self._ledger.find(job_id):
                    if not flight.cancel:
                        flight.cancel = True
                        if flight.stop_sent is None:
                            self._stop(flight, "cancel", now)
                for delivery in [d for d in self._ledger.pending if d.envelope.id == job_id]:
                    self._ledger.pending.remove(delivery)
                    self._settler.add(Settlement(job_id, delivery.token, self._judge.outcome(delivery, Stopped())))
        self.look_soon()

    def interrupt(self) -> None:
        """Cut short everything that runs."""
        now = time.monotonic()
        with self._ledger.lock:
            for flight in list(self._ledger.flights.values()):
                if flight.stop_sent is None:
                    self._stop(flight, "interrupt", now)
        self.look_soon()
