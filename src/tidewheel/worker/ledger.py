"""Who holds what: the executors of this worker, and every delivery from its claim until its outcome is handed to the settler.

Written by the claiming thread (new deliveries) and the hub (everything else), under one lock. All decisions of how much and where are
made here from the pure `core.intake`; nothing here does I/O.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from tidewheel.core import intake
from tidewheel.core.job import Delivery
from tidewheel.core.limits import is_suspect
from tidewheel.worker.frames import Key, Why

State = Literal["starting", "ready", "retiring"]


class Flight:
    """One delivery in this worker."""

    __slots__ = ("cancel", "delivery", "key", "killing", "seat", "soft_sent", "started", "stop_sent", "why")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.key: Key = (delivery.envelope.id, delivery.token.claim)
        self.seat: Seat | None = None
        self.started: float | None = None
        """When its run began, on the monotonic clock."""
        self.soft_sent = False
        self.why: Why | None = None
        self.stop_sent: float | None = None
        self.killing = 0
        self.cancel = False


class Seat:
    """One executor, as the ledger sees it."""

    def __init__(self, number: int, slots: int) -> None:
        self.number = number
        self.slots = slots
        self.state: State = "starting"
        self.flights: dict[Key, Flight] = {}
        self.given = 0
        """Jobs that it was given in its life."""
        self.born = time.monotonic()
        self.forced = False
        """It is being killed for the sake of one run; the others in it are not to blame."""

    def running(self) -> list[Flight]:
        """Its runs. With one slot that is the first one, by the order in which they were given."""
        if self.slots == 1:
            first = next(iter(self.flights.values()), None)
            return [first] if first is not None and first.started is not None else []
        return [f for f in self.flights.values() if f.started is not None]

    def busy(self, now: float) -> float:
        # With several slots what counts is whether one will soon be free, so the shortest run decides.
        starts = [f.started for f in self.running() if f.started is not None]
        return now - max(starts) if len(starts) >= self.slots else 0.0

    def lane(self, now: float) -> intake.Lane:
        return intake.Lane(self.slots, len(self.flights), self.busy(now))


Assignment = dict[Seat, list[Delivery]]


class Ledger:
    """The book of this worker. Methods that answer an `Assignment` leave the sending to the caller."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.room = threading.Condition(self.lock)
        """Notified when there may be room for more, or nothing is left."""
        self.knock: Callable[[], None] | None = None
        """Called then, too: by who waits for room and for something else at once."""
        self.seats: dict[int, Seat] = {}
        self.flights: dict[Key, Flight] = {}
        self.pending: deque[Delivery] = deque()
        """Claimed, and in no executor at present."""
        self.waiting_since = 0.0
        """Since when there has been something pending, on the monotonic clock."""
        self.average: float | None = None
        self.alone: Key | None = None
        """A suspect that runs alone."""
        self.ended = 0

    # -- how much and where -------------------------------------------------------------------------------------------

    def appetite(self, unsettled: int) -> int:
        """How many jobs to claim now."""
        with self.lock:
            if self.pending or self.alone is not None:
                return 0
            now = time.monotonic()
            return intake.appetite([s.lane(now) for s in self.seats.values() if s.state == "ready"], self.average, unsettled)

    def ended_some(self, unsettled: int) -> None:
        """After runs were struck out: wake who waits for room, if there is now enough of it to be worth a claim."""
        with self.lock:
            if not self.flights or self.appetite(unsettled):
                self.tell_room()

    def accept(self, deliveries: Iterable[Delivery]) -> Assignment:
        """Enter new deliveries and seat as many as fit."""
        with self.lock:
            if not self.pending:
                self.waiting_since = time.monotonic()
            self.pending.extend(deliveries)
            return self.seat_pending()

    def seat_pending(self) -> Assignment:
        """Give what is pending to executors with room: first one to each free slot, then the spare in even portions."""
        out: Assignment = {}
        with self.lock:
            now = time.monotonic()
            while self.pending:
                if is_suspect(self.pending[0].losses):
                    if self.flights or self.alone is not None:
                        break  # it has to wait until it is alone
                    ready = [s for s in self.seats.values() if s.state == "ready" and s.given == 0] or [
                        s for s in self.seats.values() if s.state == "ready"
                    ]
                    if ready:
                        delivery = self.pending.popleft()
                        self._put(ready[0], delivery, now, out)
                        self.alone = (delivery.envelope.id, delivery.token.claim)
                    break
                if self.alone is not None:
                    break
                free = [s for s in self.seats.values() if s.state == "ready" and len(s.flights) < s.slots]
                if free:
                    for seat in sorted(free, key=lambda s: len(s.flights)):
                        if self.pending and not is_suspect(self.pending[0].losses):
                            self._put(seat, self.pending.popleft(), now, out)
                    continue
                rooms = [(intake.room(s.lane(now), self.average), s) for s in self.seats.values() if s.state == "ready"]
                total = sum(r for r, _ in rooms)
                if total == 0:
                    break
                share = min(1.0, len(self.pending) / total)
                for room, seat in rooms:
                    for _ in range(max(1, round(room * share)) if room else 0):
                        if self.pending and not is_suspect(self.pending[0].losses):
                            self._put(seat, self.pending.popleft(), now, out)
        return out

    def _put(self, seat: Seat, delivery: Delivery, now: float, out: Assignment) -> None:
        flight = Flight(delivery)
        flight.seat = seat
        if seat.slots == 1 and not seat.flights:
            flight.started = now  # nothing is before it: it starts as soon as it arrives
        seat.flights[flight.key] = flight
        self.flights[flight.key] = flight
        seat.given += 1
        out.setdefault(seat, []).append(delivery)

    # -- what executors say -------------------------------------------------------------------------------------------

    def started(self, key: Key) -> None:
        with self.lock:
            flight = self.flights.get(key)
            if flight is not None:
                flight.started = time.monotonic()

    def finished(self, key: Key, duration: float) -> Flight | None:
        """Strike out a run that ended; None when it is not (or no longer) in the book."""
        with self.lock:
            flight = self._strike(key)
            if flight is not None:
                self.ended += 1
                self.average = intake.learn(self.average, duration)
            return flight

    def returned(self, keys: Sequence[Key]) -> list[Delivery]:
        """Strike out jobs that an executor gave back unstarted; they are the caller's to give to others or hand back."""
        with self.lock:
            flights = [f for k in keys if (f := self._strike(k)) is not None]
            self.tell_room()
            return [f.delivery for f in flights]

    def _strike(self, key: Key) -> Flight | None:
        flight = self.flights.pop(key, None)
        if flight is None:
            return None
        if self.alone == key:
            self.alone = None
        seat = flight.seat
        if seat is not None:
            seat.flights.pop(key, None)
            if seat.slots == 1 and seat.flights:
                first = next(iter(seat.flights.values()))
                if first.started is None:
                    first.started = time.monotonic()
        return flight

    def unseat(self, number: int) -> tuple[Seat | None, list[Flight], list[Delivery]]:
        """An executor is gone: its seat, the runs that went with it, and the jobs in it that had not started."""
        with self.lock:
            seat = self.seats.pop(number, None)
            if seat is None:
                return None, [], []
            running, unstarted = [], []
            for flight in list(seat.flights.values()):
                self.flights.pop(flight.key, None)
                if self.alone == flight.key:
                    self.alone = None
                if flight.started is not None:
                    running.append(flight)
                else:
                    unstarted.append(flight.delivery)
            seat.flights.clear()
            self.tell_room()
            return seat, running, unstarted

    def tell_room(self) -> None:
        """Wake who waits for room. With the lock held."""
        self.room.notify_all()
        if self.knock is not None:
            self.knock()

    # -- asking -------------------------------------------------------------------------------------------------------

    def held(self) -> int:
        with self.lock:
            return len(self.flights) + len(self.pending)

    def keys(self) -> set[Key]:
        with self.lock:
            return set(self.flights) | {(d.envelope.id, d.token.claim) for d in self.pending}

    def find(self, job_id: str) -> list[Flight]:
        with self.lock:
            return [f for k, f in self.flights.items() if k[0] == job_id]

    def unstarted(self, older_than: float = 0.0) -> dict[Seat, list[Key]]:
        """By executor, the jobs that wait in it while its present run has gone on for longer than `older_than` seconds."""
        now = time.monotonic()
        with self.lock:
            return {
                s: keys
                for s in self.seats.values()
                if (older_than == 0.0 or s.busy(now) > older_than) and (keys := unstarted_in(s))
            }


def unstarted_in(seat: Seat) -> list[Key]:
    return [f.key for f in seat.flights.values() if f.started is None]
