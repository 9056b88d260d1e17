"""A job in its three dresses: `Envelope` (as a broker sees it), `Delivery` (as a worker holds it), `JobView` (as people look at it).

Moments are epoch seconds on the broker's clock, durations are seconds; both are `float`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = [
    "DEFAULT_QUEUE", "ENDED", "LIVE", "MAX_PRIORITY", "MIN_PRIORITY", "Delivery", "Envelope", "HistoryEntry", "JobView",
    "State", "Token",
]  # fmt: skip

DEFAULT_QUEUE = "default"
MIN_PRIORITY, MAX_PRIORITY = -100, 100

State = Literal["scheduled", "ready", "running", "succeeded", "dead", "cancelled", "expired"]
LIVE: frozenset[State] = frozenset({"scheduled", "ready", "running"})
ENDED: frozenset[State] = frozenset({"succeeded", "dead", "cancelled", "expired"})


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as a broker keeps it: what routing needs outside, opaque bytes inside."""

    id: str
    """UUIDv7 in its 36-character form, made by the client: publishing the same id twice stores one job."""
    task: str
    body: bytes
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    """−100 … 100, higher first. An engine with fewer levels maps it at its edge."""
    delay: float = 0.0
    """Seconds after the broker accepted it before it may start."""
    due: float | None = None
    """Absolute moment before which it may not start; with `delay` as well, the later of the two."""
    lifetime: float | None = None
    """Seconds after the broker accepted it within which it must have started; afterwards it is `expired`."""
    expires: float | None = None
    """Absolute moment of the same; with `lifetime` as well, the earlier of the two."""
    key: str | None = None
    """Idempotency key: unique in its queue while the job lives and for `key_window` seconds after it ended."""
    key_window: float = 60.0
    headers: Mapping[str, str] = {}
    """Small texts that travel with the job: options given at the call, trace context, the user's own."""

    def due_at(self, now: float) -> float:
        """The moment it may start, for a broker that accepts it at `now`."""
        due = now + self.delay if self.delay > 0 else now
        return due if self.due is None else max(due, self.due)

    def expires_at(self, now: float) -> float | None:
        """The moment it is too late to start it, for a broker that accepts it at `now`; None: never."""
        ends = [] if self.lifetime is None else [now + self.lifetime]
        if self.expires is not None:
            ends.append(self.expires)
        return min(ends, default=None)


class Token(msgspec.Struct, frozen=True, array_like=True):
    """The fence: which incarnation of which worker claimed it, and that worker's own count of claims. Never issued twice."""

    worker: str
    claim: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A claimed envelope. The counters are as they stand after this claim."""

    envelope: Envelope
    token: Token
    published: float
    """When the broker accepted it."""
    deliveries: int = 1
    """How often it has been handed out, this time included."""
    attempts: int = 0
    """Runs that ended with an error (or with `RetryIn`)."""
    strikes: int = 0
    """Times that the executor running exactly this job died."""
    losses: int = 0
    """Times that the whole worker holding it died."""

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.attempts + 1


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to a job besides running well; kept with it and shown by `tidewheel jobs show`."""

    at: float
    event: str
    """`retry`, `snooze`, `crashed`, `lost`, `returned`, `interrupted`, `dead`, `cancelled`, `expired`, `revived`."""
    worker: str = ""
    detail: bytes = b""
    """An encoded `ErrorRecord`, or nothing."""


class JobView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as people look at it, whatever its state. Broker-neutral; what CLI and dashboard show."""

    id: str
    state: State
    task: str
    queue: str
    priority: int = 0
    published: float
    due: float | None = None
    started: float | None = None
    finished: float | None = None
    expires: float | None = None
    key: str | None = None
    worker: str | None = None
    deliveries: int = 0
    attempts: int = 0
    strikes: int = 0
    losses: int = 0
    cancel_requested: bool = False
    reason: str = ""
    """Why it is dead."""
    body: bytes = b""
    value: bytes | None = None
    error: bytes | None = None
    progress: bytes | None = None
    headers: Mapping[str, str] = {}
    history: tuple[HistoryEntry, ...] = ()
