"""The worker: one object that wires its threads together, from `start` to `stop`. It claims, beats, settles, sweeps; it runs no user code.

    claimer   broker → deliveries → executors          hub      executors → outcomes; limits; replacements
    settler   outcomes → broker                        keeper   beats and sweeps
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

import msgspec

from tidewheel import events
from tidewheel.contract import Backend, Consumer, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import DEFAULT_QUEUE
from tidewheel.errors import BrokerError
from tidewheel.ids import incarnation
from tidewheel.version import __version__
from tidewheel.worker.claimer import Claimer
from tidewheel.worker.crew import Crew
from tidewheel.worker.frames import POKE, Manifest, Setup
from tidewheel.worker.hub import Hub
from tidewheel.worker.keeper import Keeper
from tidewheel.worker.ledger import Ledger
from tidewheel.worker.options import WorkerOptions
from tidewheel.worker.settler import Settler

log = logging.getLogger("tidewheel.worker")

_broadcast = msgspec.msgpack.Decoder(events.Broadcast)


class Worker:
    """One incarnation after another of a worker. The broker is open already; the crew has reported its manifest."""

    def __init__(
        self, options: WorkerOptions, backend: Backend, crew: Crew, manifest: Manifest, emitter: events.Emitter, *, main_thread: bool = True
    ) -> None:
        defaults = {k: v for k, v in manifest.workers.items() if getattr(options, k) is None}
        name = options.name or f"{socket.gethostname()}-{os.getpid()}"
        self.options = options = msgspec.structs.replace(options, name=name, **defaults)
        self.manifest = manifest
        self.queues = queues_of(options, manifest)
        self.concurrency = concurrency_of(options)
        self.idle = threading.Event()
        """Set in burst mode when the queues are empty."""
        self._backend = backend
        self._emitter = emitter
        self._executors = self.concurrency if options.pool == "processes" else 1
        self._down_since: float | None = None
        self.refused = 0
        """Outcomes that the broker did not take, because somebody else has the job."""
        self._deaf: Callable[[], None] | None = None
        """Ends the listening for broadcasts."""
        self._down_lock = threading.Lock()
        self._consumer = self._open_consumer()
        self._ledger = Ledger()
        self._settler = Settler(lambda: self._consumer, self._refused, self._trouble)
        setup = Setup(
            number=0,
            pool=options.pool,
            concurrency=1 if options.pool in ("processes", "inline") else self.concurrency,
            lifeline=self._consumer.lifeline,
            max_memory=options.max_memory_per_child,
            pokes=POKE > 0 and options.pool == "processes",
            main_thread=main_thread,
            worker=options.name or "",
        )
        self._keeper = Keeper(
            backend.broker,
            lambda: self._consumer,
            worker_id=lambda: self._info.id,
            held=lambda: self._ledger.held() + self._settler.unsettled(),
            cancels=lambda ids: self._hub.cancel(ids),
            lost=self._lost,
            differs=lambda: self._claimer.reconcile(),
            trouble=self._trouble,
        )
        self._hub = Hub(
            options, crew, manifest, self._ledger, self._settler, emitter, setup, self._executors, self._keeper.progress
        )
        self._claimer = Claimer(
            lambda: self._consumer,
            self.queues,
            self._ledger,
            self._hub,
            self._settler,
            trouble=self._trouble,
            news=self._keeper.nudge,
            idle=self.idle.set if options.burst else None,
        )

    @property
    def name(self) -> str:
        return self._info.name

    def _open_consumer(self) -> Consumer:
        self._info = WorkerInfo(
            id=incarnation(),
            name=self.options.name or "",
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self.queues,
            pool=self.options.pool,
            concurrency=self.concurrency,
            started=time.time(),
            version=__version__,
        )
        return self._backend.broker.consumer(self._info)

    def start(self) -> None:
        self._settler.start()
        self._hub.start()
        self._keeper.start()
        self._claimer.start()
        if self._backend.broadcaster is not None and events.Broadcast.__name__ in self.manifest.listens:
            self._deaf = self._backend.broadcaster.listen(self._heard)

    def _heard(self, message: bytes) -> None:
        try:
            _broadcast.decode(message)  # whoever may write to the broker could send any event: only this kind is passed on
        except msgspec.DecodeError as error:
            log.warning("a broadcast could not be understood: %s", error)
        else:
            self._hub.announce(message)

    def stop(self, grace: float | None = None, *, hurry: threading.Event | None = None) -> int:
        """End: claim no more, hand back what has not started, give runs `grace` seconds, cut the rest and hand it back.

        Returns how many runs were cut. `hurry`, when set meanwhile, ends all patience.
        """
        hurry = hurry or threading.Event()
        grace = self.options.grace if grace is None else grace
        if self._deaf is not None:
            self._deaf()
        self._claimer.stop()
        self._hub.hand_back()
        with self._ledger.lock:
            running = len(self._ledger.flights)
        if running:
            self._emitter.emit(events.WorkerDraining(worker=self.name, running=running))
        if not self._until_empty(grace, hurry):
            self._hub.interrupt()
            if not self._until_empty(min(5.0, self.options.kill_after), hurry):
                self._hub.kill()
                self._until_empty(2.0, threading.Event())
        left = self._settler.close(1.0 if hurry.is_set() else 10.0)
        self._keeper.stop()
        try:
            self._consumer.close()
        except BrokerError as error:
            log.warning("the jobs still held could not be handed back, others will recover them: %s", error)
        self._hub.close()
        cut = self._hub.cut
        self._emitter.emit(events.WorkerStopped(worker=self.name, cut=cut + left, refused=self.refused))
        return cut + left

    def _until_empty(self, patience: float, hurry: threading.Event) -> bool:
        deadline = time.monotonic() + patience
        with self._ledger.lock:
            while self._ledger.flights:
                left = deadline - time.monotonic()
                if left <= 0 or hurry.is_set():
                    return False
                self._ledger.room.wait(min(left, 0.1))
        return True

    # -- what the threads report --------------------------------------------------------------------------------------

    def _refused(self, settlement: Settlement, verdict: Verdict) -> None:
        self.refused += 1
        self._emitter.emit(events.OutcomeRefused(worker=self.name, id=settlement.id, verdict=verdict))

    def _trouble(self, error: BrokerError | None) -> None:
        """The broker has answered (None), or has not. Told once each time that changes."""
        if error is None and self._down_since is None:
            return
        with self._down_lock:
            if error is None:
                if self._down_since is not None:
                    after, self._down_since = time.monotonic() - self._down_since, None
                    self._emitter.emit(events.BrokerFound(worker=self.name, after=after))
                    self._claimer.reconcile()
            elif self._down_since is None:
                self._down_since = time.monotonic()
                self._emitter.emit(events.BrokerLost(worker=self.name, error=str(error)))

    def _lost(self) -> None:
        """The lease is over: what we hold is others' now. Cut it, and go on under a new name; late outcomes are refused by the token."""
        log.warning("the lease of this worker is over; its jobs are cut and it goes on as a new one")
        self._hub.interrupt()
        try:
            self._consumer = self._open_consumer()
        except BrokerError as error:
            self._trouble(error)


def queues_of(options: WorkerOptions, manifest: Manifest) -> tuple[str, ...]:
    """The queues that a worker consumes: those asked for, or those of the app, or those that its tasks name, less the excluded."""
    queues = options.queues or manifest.queues or tuple(dict.fromkeys([DEFAULT_QUEUE, *(t.queue for t in manifest.tasks.values())]))
    return tuple(q for q in queues if q not in options.exclude)


def concurrency_of(options: WorkerOptions) -> int:
    if options.pool == "inline":
        return 1
    if options.concurrency is not None:
        return options.concurrency
    return {"processes": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, "threads": 20}.get(
        options.pool, 100
    )
