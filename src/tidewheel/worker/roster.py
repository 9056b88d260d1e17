"""The executors of this worker: started, retired, and buried when they have ended. Lives in the hub's thread."""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Callable, Iterator

import msgspec

from tidewheel.worker.crew import Crew, ForkserverGone, exit_text
from tidewheel.worker.frames import POKE, Manifest, Quit, Setup, Stop, TakeBack, Tell
from tidewheel.worker.ledger import Ledger, Seat
from tidewheel.worker.link import Link
from tidewheel.worker.pause import Pause

log = logging.getLogger("tidewheel.worker")

CONTROL = "control"
"""What the selector has for the crew's own socket."""
STATUS_PATIENCE = 1.0
"""Seconds to wait for the exit status of an executor whose socket has ended."""

URGENT = (Stop, TakeBack, Tell)
"""What an executor must read in the middle of a run."""

Died = Callable[[int, int, "int | None", "str | None"], None]
"""Called with number, pid, exit status (None: unknown) and, if the forkserver's death took it along, how that ended."""


class Roster:
    """`links` may be read from any thread (sending to an executor that is gone does nothing)."""

    def __init__(
        self, crew: Crew, ledger: Ledger, setup: Setup, wanted: int, selector: selectors.BaseSelector,
        blocked: Callable[[Link], None], died: Died, imported: Callable[[Manifest], None],
    ) -> None:  # fmt: skip
        self.links: dict[int, Link] = {}
        self.stopping = False
        self._crew = crew
        self._ledger = ledger
        self._setup = setup
        self._wanted = wanted
        self._selector = selector
        self._blocked = blocked
        self._died = died
        self._imported = imported
        self._number = 0
        self._pause = Pause(0.1, 30.0)
        self._launch_at = 0.0
        self._gone: str | None = None
        self._ending: dict[int, float] = {}
        self._statuses: dict[int, int] = {}
        self._control = crew.control
        if self._control is not None:
            selector.register(self._control, selectors.EVENT_READ, CONTROL)

    def pid(self, number: int) -> int | None:
        return self._crew.pid(number)

    def send(self, number: int, *messages: object) -> None:
        link = self.links.get(number)
        if link is not None:
            link.send(messages)
            if self._setup.pokes and any(type(m) in URGENT for m in messages):
                self._crew.kill(number, POKE)

    # -- beginning ----------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Start executors until there are as many as wanted; slower and slower while they cannot even start."""
        now = time.monotonic()
        if self.stopping or now < self._launch_at:
            return
        if self._gone is not None and not self._restart():
            return
        while sum(s.state in ("starting", "ready") for s in self._ledger.seats.values()) < self._wanted and now >= self._launch_at:
            self._launch()

    def next_moment(self) -> float:
        """When `fill` or `bury` has something to do without anything being heard."""
        moments = [time.monotonic() + 0.02] if self._ending else []
        if not self.stopping and (self._gone is not None or len(self._ledger.seats) < self._wanted):
            moments.append(self._launch_at)
        return min(moments, default=float("inf"))

    def _launch(self) -> None:
        self._number += 1
        number = self._number
        link = Link(number, self._crew.launch(number), self._blocked)
        with self._ledger.lock:
            self._ledger.seats[number] = Seat(number, self._setup.concurrency)
        self.links[number] = link
        self._selector.register(link.sock, selectors.EVENT_READ, link)
        link.send([msgspec.structs.replace(self._setup, number=number)])

    def _restart(self) -> bool:
        log.warning("starting a new forkserver; the last one ended with %s", self._gone)
        try:
            manifest = self._crew.start()
        except Exception as error:
            self._launch_at = time.monotonic() + self._pause.longer()
            log.error("the app cannot be imported any more, trying again: %s", error)
            return False
        self._gone = None
        self._imported(manifest)
        self._control = self._crew.control
        if self._control is not None:
            self._selector.register(self._control, selectors.EVENT_READ, CONTROL)
        return True

    def started(self, number: int) -> None:
        """An executor is ready for jobs."""
        self._pause.over()
        with self._ledger.lock:
            seat = self._ledger.seats.get(number)
            if seat is not None and seat.state == "starting":
                seat.state = "ready"
            self._ledger.tell_room()

    # -- ending -------------------------------------------------------------------------------------------------------

    def retire(self, number: int, *, leave: bool = True) -> None:
        """No new jobs for this executor; what it has not started comes back, what runs may end. `leave`: it exits by itself then."""
        with self._ledger.lock:
            seat = self._ledger.seats.get(number)
            if seat is None or seat.state not in ("ready", "starting"):
                return
            seat.state = "retiring"
            keys = tuple(f.key for f in seat.flights.values() if f.started is None)
        self.send(number, TakeBack(keys), *([Quit()] if leave else []))

    def kill(self, number: int, sig: int) -> None:
        self._crew.kill(number, sig)

    def kill_all(self) -> None:
        self.stopping = True
        for number, seat in list(self._ledger.seats.items()):
            seat.forced = True
            self._crew.kill(number, signal.SIGKILL)

    def ended(self, link: Link) -> None:
        """The end of an executor's socket, after everything in it was read. Its exit status may still be on its way."""
        self._selector.unregister(link.sock)
        link.close()
        self._ending[link.number] = time.monotonic() + STATUS_PATIENCE
        self.bury()

    def poll(self) -> None:
        """Hear what the crew has to say."""
        try:
            for exited in self._crew.poll():
                self._statuses[exited.pid] = exited.status
        except ForkserverGone as error:
            if self._control is not None:
                self._selector.unregister(self._control)
                self._control = None
            self._gone = str(error)
            self._launch_at = time.monotonic() + self._pause.longer()
        self.bury()

    def bury(self) -> None:
        """Report executors whose socket has ended and whose exit status is known, or will not come any more."""
        if self._ending and self._control is None and self._gone is None:
            for exited in self._crew.poll():
                self._statuses[exited.pid] = exited.status
        now = time.monotonic()
        for number, until in list(self._ending.items()):
            pid = self._crew.pid(number) or 0
            status = self._statuses.pop(pid, None)
            if status is None and pid and self._gone is None and now < until:
                continue
            del self._ending[number]
            self.links.pop(number, None)
            self._died(number, pid, status, self._gone)

    def never_started(self, status: int | None) -> None:
        """It ended before it was ready: do not spin."""
        self._launch_at = time.monotonic() + self._pause.longer()
        log.error("an executor ended (%s) before it was ready", exit_text(status))

    def ready(self) -> Iterator[int]:
        return (n for n, seat in self._ledger.seats.items() if seat.state == "ready")

    def close(self) -> None:
        for link in list(self.links.values()):
            link.close()
        self._crew.close()
