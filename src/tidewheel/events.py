"""The moments in the life of jobs and workers, as frozen values, and the way to hear of them.

    @app.on(JobFailed)
    def tell(event: JobFailed) -> None: ...

An event is emitted once, at the act. Logs, metrics and your handlers are subscribers; with none, an event costs one truth test.
Handlers of job events run in the executor (a child process of the worker) right after the run, `JobPublished` where the call was
made, worker events in the worker itself for its own subscribers. Of these the app's listeners hear four, in the child processes:
`WorkerStarting`, `ExecutorStarted`, `ExecutorEnded` (of one that is replaced), and in one executor `WorkerStarted`. A handler that
raises is logged and changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tidewheel.errors import ErrorRecord
from tidewheel.wire.values import decode

log = logging.getLogger("tidewheel.events")


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something that happened."""


class JobEvent(Event, frozen=True, kw_only=True):
    id: str
    task: str
    queue: str


class JobPublished(JobEvent, frozen=True, kw_only=True):
    """A job was accepted by the broker."""


class JobStarted(JobEvent, frozen=True, kw_only=True):
    attempt: int
    waited: float
    """Seconds between publication and this start."""


class JobSucceeded(JobEvent, frozen=True, kw_only=True):
    attempt: int
    duration: float


class JobRetried(JobEvent, frozen=True, kw_only=True):
    """It will run again: after an error, a crash, a snooze or an interruption (`why`)."""

    attempt: int
    why: str
    delay: float
    duration: float = 0.0
    error: ErrorRecord | None = None


class JobFailed(JobEvent, frozen=True, kw_only=True):
    """It is dead. `reason` as in the dead letters: failed, aborted, poison, time limit, bad arguments, undecodable, unknown task."""

    attempt: int
    reason: str
    duration: float = 0.0
    error: ErrorRecord | None = None


class JobCancelled(JobEvent, frozen=True, kw_only=True):
    pass


class WorkerEvent(Event, frozen=True, kw_only=True):
    worker: str


class WorkerStarting(WorkerEvent, frozen=True, kw_only=True):
    """A worker's child has imported the app, and runs nothing yet: the place to set logs up. Told to the app's own listeners only."""


class WorkerStarted(WorkerEvent, frozen=True, kw_only=True):
    pass


class WorkerDraining(WorkerEvent, frozen=True, kw_only=True):
    running: int


class WorkerStopped(WorkerEvent, frozen=True, kw_only=True):
    cut: int
    """Runs that were cut short and handed back."""
    refused: int = 0
    """Outcomes that came too late in its life, and changed nothing."""


class ExecutorStarted(WorkerEvent, frozen=True, kw_only=True):
    pid: int


class ExecutorEnded(WorkerEvent, frozen=True, kw_only=True):
    pid: int
    why: str
    """`recycled`, `stopped`, `exit status 3`, `signal 9 (SIGKILL)`, `retired`."""


class BrokerLost(WorkerEvent, frozen=True, kw_only=True):
    error: str


class BrokerFound(WorkerEvent, frozen=True, kw_only=True):
    after: float


class OutcomeRefused(WorkerEvent, frozen=True, kw_only=True):
    """A settlement came too late: somebody else's claim is current, or the job has ended."""

    id: str
    verdict: str


class Broadcast(Event, frozen=True, kw_only=True):
    """Somebody called `app.broadcast`. Heard once in every executor process of every worker that is connected at that moment."""

    topic: str
    packed: bytes = b""

    @property
    def data(self) -> Any:
        """What was sent along."""
        return decode(self.packed) if self.packed else None


ALL_EVENTS: tuple[type[Event], ...] = (
    JobPublished, JobStarted, JobSucceeded, JobRetried, JobFailed, JobCancelled, WorkerStarting, WorkerStarted, WorkerDraining,
    WorkerStopped, ExecutorStarted, ExecutorEnded, BrokerLost, BrokerFound, OutcomeRefused,
    Broadcast,
)  # fmt: skip

E = TypeVar("E", bound=Event)

pack = msgspec.msgpack.Encoder().encode
"""An event as bytes, for another process of the same app."""


class Emitter:
    """Who listens to what. Subscribing to a class subscribes to its subclasses too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[type[Event], tuple[Callable[[Any], None], ...]] = {}

    def subscribe(self, kind: type[E], listener: Callable[[E], None]) -> Callable[[], None]:
        """Call `listener` with every event of this kind. Returns a function that ends it."""
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise TypeError(f"{kind!r} is not an event class of tidewheel.events")
        kinds = [k for k in ALL_EVENTS if issubclass(k, kind)]
        with self._lock:
            for k in kinds:
                self._listeners[k] = (*self._listeners.get(k, ()), listener)

        def unsubscribe() -> None:
            with self._lock:
                for k in kinds:
                    self._listeners[k] = tuple(x for x in self._listeners.get(k, ()) if x is not listener)

        return unsubscribe

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody listens: ask before building an event in a hot path."""
        return bool(self._listeners.get(kind))

    def wanted(self) -> frozenset[str]:
        """Names of the event classes that somebody listens to."""
        return frozenset(k.__name__ for k, v in self._listeners.items() if v)

    def emit(self, event: Event) -> None:
        for listener in self._listeners.get(type(event), ()):
            try:
                listener(event)
            except Exception:
                log.exception("a listener for %s failed", type(event).__name__)
