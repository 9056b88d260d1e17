"""Everything that an engine ("backend") may implement, with its guarantees. Whoever has read this can write one.

A backend is a folder `backends/<engine>/` with a `connect(url) -> Backend`; each role it fills is one file there. `Broker` and
`Consumer` are required of everybody; the other roles are asked for once, at wiring, and a missing one fails there.

Common rules. Batch-first: a single call is a batch of one. All calls are sync (but for `AsyncTransactions`), may block, and raise
`BrokerError`s. Bodies, values and errors are opaque bytes. Durations are seconds, moments epoch seconds on the broker's clock, both
`float`. A `Broker` may be used from many threads. Of a `Consumer`, `claim` may run in one thread while `settle`, `beat` and `owned` run
in another, never the same verb in two. No client handle may be used across a fork. The ten laws are in docs/reference/contract.md and,
as tests, in `tidewheel.testing.conformance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from tidewheel.core.job import Delivery, Envelope, JobView, State, Token
from tidewheel.core.outcome import AnyOutcome, Cancelled, Dead, Expired, Succeeded

__all__ = [
    "Archive", "AsyncTransactions", "AtOnce", "Backend", "Beat", "Broadcaster", "Broker", "Browse", "CancelAnswer", "Consumer", "Control",
    "Counts", "DeadLetters", "Description", "Final", "JobFilter", "Migration", "Migrations", "Progress", "Receipt", "Record",
    "ResultStore", "RunLimit", "Settlement", "Swept", "Tracker", "TrackingConsumer", "Transactions", "Verdict", "WorkerInfo",
]  # fmt: skip


AtOnce: TypeAlias = "Callable[[Sequence[Delivery]], None]"
"""Takes deliveries as soon as they are there: see `Consumer.claim`."""


class Receipt(msgspec.Struct, frozen=True):
    """The answer to the publication of one envelope."""

    id: str
    """The stored job: this one, or the one that already has its id or its key."""
    created: bool = True


class Settlement(msgspec.Struct, frozen=True):
    """How one delivery ended. `publish` are follow-up jobs, stored in the same atomic step where the engine can."""

    id: str
    token: Token
    outcome: AnyOutcome
    publish: tuple[Envelope, ...] = ()


Verdict = Literal["ok", "stale", "gone"]
"""`ok`: written. `stale`: somebody else's claim is current. `gone`: the job is not running any more. The last two changed nothing."""


class Progress(msgspec.Struct, frozen=True):
    """What a running job says of itself; the last one is kept until it ends."""

    id: str
    token: Token
    data: bytes


class Beat(msgspec.Struct, frozen=True):
    """The answer to a beat."""

    owned: int
    """How many jobs the broker thinks this consumer holds; compared with its own count (law 6)."""
    cancels: tuple[str, ...] = ()
    """Ids of held jobs whose cancellation was asked for; repeated at every beat until they are settled."""
    lost: bool = False
    """The lease is over: every claim of this consumer was or will be given to others. Take a new incarnation."""


class Swept(msgspec.Struct, frozen=True):
    """What one sweep did, and when the next delayed job is due."""

    promoted: int = 0
    recovered: int = 0
    expired: int = 0
    pruned: int = 0
    lost_workers: tuple[str, ...] = ()


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The depth of one queue."""

    ready: int = 0
    scheduled: int = 0
    running: int = 0
    dead: int = 0
    oldest: float | None = None
    """Seconds for which the oldest ready job has been able to start; None: no job is ready."""


class RunLimit(msgspec.Struct, frozen=True):
    """For how long a broker lets a worker keep a job."""

    seconds: float
    mend: str
    """What makes it longer, in words that go on after "or": `raise consumer_timeout in …`."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What this broker is and guarantees at its present settings, in words for `status`, the banner and `doctor`."""

    engine: str
    version: str
    url: str
    """Without passwords."""
    durability: str
    """One sentence: what survives what."""
    delivery: str = ""
    """How often a job may run, and when one runs again whose worker was killed."""
    level: Literal["volatile", "process", "power loss", "replicated"]
    notes: tuple[str, ...] = ()
    """Warnings, each with its mend."""
    run_limit: RunLimit | None = None
    """None: a job may take as long as it likes."""
    results: str = ""
    """Where results are kept and how safe they are there, if that is not with the broker."""


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's incarnation. `id` is random and never used again."""

    id: str
    name: str
    host: str = ""
    pid: int = 0
    queues: tuple[str, ...] = ()
    pool: str = ""
    concurrency: int = 0
    started: float = 0.0
    version: str = ""
    running: int = 0
    seen: float | None = None


@runtime_checkable
class Consumer(Protocol):
    """One worker's session with a broker."""

    lifeline: str | None
    """Where child processes prove that they live: each locks (flock) a file of its own, `<lifeline>.<pid>`, from its start to its
    end. None: the engine does not need it."""

    beat_every: float
    """Seconds between beats that this engine wants."""

    @property
    def news(self) -> bool:
        """Something was asked of this worker (a cancellation) and `beat` will tell what. Set while `claim` waits; reset by `beat`."""
        ...

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        """Take up to `limit` ready jobs, highest priority first, then roughly oldest first; count the delivery.

        Blocks up to `wait` seconds while there is none (0: asks once) and returns early when there is work, on `wake`, or when there
        is `news` (where the engine can tell). With `limit` 0 it takes nothing and only waits for the latter two. Jobs past
        their `expires` end as expired instead. Queues take turns at being first, so that none starves. A call that raises may have
        claimed all the same: ask `owned` afterwards.

        `at_once`: an engine that is told of jobs in a thread of its own may give them to this function there while the call waits, instead
        of waking who claims: one thread less between the server and the run. They are not in the answer, which is then empty and comes
        within some milliseconds. What the function raises, this raises.
        """
        ...

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        """Record how deliveries ended: acknowledgement, result and follow-ups in one atomic step; one verdict each, in order.

        Every write is fenced by the token. Repeating a call is harmless. Raises `BrokerUnavailable` when nothing is known to be
        recorded: call again.
        """
        ...

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        """Keep the lease; report progress (fenced); hear of cancellations."""
        ...

    def owned(self) -> Sequence[Delivery]:
        """Every delivery that the broker thinks this consumer holds."""
        ...

    def wake(self) -> None:
        """Make a `claim` that is blocked in another thread return now, or the next one that would block."""
        ...

    def close(self) -> None:
        """Give back, uncounted, what was not settled, and end the lease."""
        ...


@runtime_checkable
class Broker(Protocol):
    """Keeps envelopes, hands them out, at least once."""

    def open(self) -> None:
        """Connect, check and migrate. Called once before anything else; raises a `BrokerError` that names the mend."""
        ...

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        """Store the batch, all or nothing, at the level that `describe` tells, before returning. One receipt each, in order.

        `fresh`: these ids were made just now and never published, so an engine need not look for them among what has ended.
        An envelope whose id is known, or whose key is taken in its queue, is not stored: its receipt names the job that is.
        Raises `BrokerFull` or `BrokerUnavailable` (nothing stored) or `PublishUnknown`.
        """
        ...

    def consumer(self, info: WorkerInfo) -> Consumer:
        """Open a worker's session: its lease begins."""
        ...

    def sweep(self, limit: int = 1000) -> Swept:
        """Upkeep in small steps: promote due jobs, take back those of dead workers, expire, prune. Safe anywhere, at any time."""
        ...

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        """Depths by queue; all known queues when none is named."""
        ...

    def purge(self, queue: str) -> int:
        """Delete every job of the queue that is not running (dead letters stay). Returns how many."""
        ...

    def now(self) -> float:
        """The broker's clock."""
        ...

    def describe(self) -> Description:
        """What it guarantees."""
        ...

    def close(self) -> None:
        """Release everything. Jobs stay."""
        ...


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job's outcome."""

    id: str
    state: State
    value: bytes | None = None
    error: bytes | None = None
    reason: str = ""
    finished: float | None = None
    attempts: int = 0
    progress: bytes | None = None


@runtime_checkable
class ResultStore(Protocol):
    """Keeps results for their time to live, and tells who waits for them."""

    def records(self, ids: Sequence[str]) -> Mapping[str, Record]:
        """The present state of these jobs, live ones too; unknown ids are missing from the answer."""
        ...

    def wait(self, ids: Sequence[str], timeout: float) -> Mapping[str, Record]:
        """Block until one of these jobs has ended, `wake_waiters` is called, or `timeout` seconds are over. Answers those that ended."""
        ...

    def wake_waiters(self) -> None:
        """Make a blocked `wait` of this process return now, or the next one that would block."""
        ...

    def forget(self, ids: Sequence[str]) -> int:
        """Delete the results of ended jobs. Returns how many."""
        ...


class Final(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended that another engine carries."""

    id: str
    deliveries: int
    """How often it had been handed out when this outcome was made: the fence of an engine that never saw the claim."""
    attempts: int
    outcome: Succeeded | Dead | Cancelled | Expired


@runtime_checkable
class Archive(Protocol):
    """Keeps the results of jobs that another engine carries: `Tidewheel("amqp://…", results="redis://…")`. The same engine's
    `ResultStore` answers for them."""

    def keep(self, batch: Sequence[Final]) -> None:
        """Store how these jobs ended, each for its time to live, and wake who waits. Atomic for each, and repeating it is harmless.

        What is known of a job is replaced only by what a later delivery, or the same, came to. Raises `BrokerUnavailable`.
        """
        ...


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list; an empty field matches all."""

    state: State | None = None
    queue: str | None = None
    task: str | None = None
    ids: tuple[str, ...] = ()


@runtime_checkable
class Browse(Protocol):
    """Looks at jobs and workers. For people: CLI and dashboard, never the hot path."""

    def jobs(self, which: JobFilter, limit: int = 50, before: str | None = None) -> Sequence[JobView]:
        """Jobs, newest first (by id); `before` is the last id of the page before. Without bodies' history."""
        ...

    def job(self, job_id: str) -> JobView | None:
        """One job with its history, or None."""
        ...

    def workers(self) -> Sequence[WorkerInfo]:
        """The live workers."""
        ...


CancelAnswer = Literal["cancelled", "requested", "ended", "unknown"]
"""`cancelled`: it had not started and now never will. `requested`: it runs; its worker is told. `ended`, `unknown`: nothing to do."""


@runtime_checkable
class Control(Protocol):
    """Interferes with jobs."""

    def cancel(self, ids: Sequence[str]) -> Sequence[CancelAnswer]:
        """Cancel each: atomically when it has not started, as a request when it runs."""
        ...

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        """Put dead jobs back into their queue with fresh counters; their history stays. False: no such dead letter."""
        ...

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        """Delete dead letters for good. False: no such dead letter."""
        ...


@runtime_checkable
class DeadLetters(Protocol):
    """What `Browse` and `Control` do with dead jobs, of an engine that can look up no others. For people, as those."""

    def jobs(self, which: JobFilter, limit: int = 50, before: str | None = None) -> Sequence[JobView]:
        """As `Browse.jobs`, the dead ones only; of one that died twice, its last death."""
        ...

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        """As `Control.revive`."""
        ...

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        """As `Control.bury`."""
        ...


@runtime_checkable
class Broadcaster(Protocol):
    """Says something to everybody who listens right now. Nothing is stored: who does not listen, or is just reconnecting, misses it."""

    def send(self, message: bytes) -> int:
        """Hand a message to the listeners; how many there were. Raises `BrokerUnavailable`."""
        ...

    def listen(self, heard: Callable[[bytes], None]) -> Callable[[], None]:
        """From the return of this call on, call `heard` with every message, in a thread of the engine's own and one at a time.

        A broken connection is mended without a word. Returns a function that ends it. Raises `BrokerUnavailable` when it cannot begin.
        """
        ...


@runtime_checkable
class Transactions(Protocol):
    """Publishes and settles inside a transaction of the user's on the broker's own database, so that job and data are one commit."""

    def begin(self, connection: Any = None) -> AbstractContextManager[Any]:
        """A transaction as a block, which gives the connection: committed at its end, rolled back when it raises; within one that is
        open already, a savepoint. Workers hear of what it published once it is committed.

        `connection` is the driver's own kind and speaks to the broker's database; None: a connection of the engine's, for this block.
        Raises `ConfigurationError` for what is no such connection, before any harm.
        """
        ...

    def publish(self, batch: Sequence[Envelope], connection: Any) -> Sequence[Receipt]:
        """As `Broker.publish`, but the batch is stored when the transaction of `connection` commits, which is the caller's business.

        Workers hear of it as in `begin` when that is where it happens, else at their next look. Raises as `Broker.publish`, and
        `ConfigurationError` as `begin`.
        """
        ...

    def settle(self, batch: Sequence[Settlement], connection: Any) -> Sequence[Verdict]:
        """As `Consumer.settle`, within the transaction of `connection`. Whoever hears anything but `ok` must roll back."""
        ...

    def committed(self, queues: Iterable[str]) -> None:
        """A transaction that the caller began and ended has published to these queues: wake workers. Raises nothing."""
        ...


@runtime_checkable
class AsyncTransactions(Protocol):
    """Publishes inside a transaction on a connection of the user's that is awaited: `Transactions` for who must not block an event loop.

    The one role that is awaited, because the connection is the user's. What the engine does on connections of its own it does in threads.
    """

    def takes(self, connection: object) -> bool:
        """Whether this is a connection of the kind that is awaited. If not, it is a matter of `Transactions`."""
        ...

    def begin(self, connection: Any) -> AbstractAsyncContextManager[Any]:
        """As `Transactions.begin`, on the user's connection."""
        ...

    async def publish(self, batch: Sequence[Envelope], connection: Any) -> Sequence[Receipt]:
        """As `Transactions.publish`. One at a time on one connection, which is the caller's business."""
        ...


class Migration(msgspec.Struct, frozen=True):
    """One step of a schema."""

    number: int
    name: str
    sql: str
    applied: float | None = None
    """When; None: not yet."""


@runtime_checkable
class Migrations(Protocol):
    """The schema of an engine whose database belongs to an operator: looks at it and changes it without `Broker.open`."""

    def status(self) -> Sequence[Migration]:
        """All steps that this release knows, oldest first. Raises `BrokerError`s."""
        ...

    def migrate(self) -> Sequence[Migration]:
        """Apply what is missing, each step in a transaction of its own and one process at a time; what was applied."""
        ...


class TrackingConsumer(Consumer, Protocol):
    """A consumer that also takes what another engine delivered."""

    def take(self, batch: Sequence[Delivery]) -> Sequence[Delivery | float | None]:
        """Claim exactly these jobs, which a carrier has just delivered to this worker; one answer each, in order.

        A delivery with this engine's token and counters: run it. Seconds: not before that. None: it must not run (it ended, was
        cancelled, has expired, or its key belongs to another job). A job that runs already is left alone, and its message looked at
        again later: it may be a second one of the same job. If the carrier has seen more losses of it than this engine *and* its
        holder shows no sign of life either, it is taken back first, as by a sweep. One that is unknown here is stored and taken as
        the carrier gave it, with its counters. Who has lost its lease takes nothing.
        """
        ...


@runtime_checkable
class Tracker(Protocol):
    """Keeps the state of jobs whose messages another engine carries but cannot look up: `Tidewheel("amqp://…", results="redis://…")`.

    Here they are ordinary jobs, except that nobody claims them: they are taken, one by one, as their messages arrive.
    """

    def consumer(self, info: WorkerInfo) -> TrackingConsumer:
        """As `Broker.consumer`."""
        ...

    def withdraw(self, ids: Sequence[str]) -> int:
        """Forget jobs that were published a moment ago, whose messages the carrier then refused. Not those that run. Returns how many."""
        ...


@dataclass(frozen=True)
class Backend:
    """An engine, wired: the broker and whatever other roles it fills."""

    broker: Broker
    results: ResultStore | None = None
    browse: Browse | None = None
    control: Control | None = None
    archive: Archive | None = None
    broadcaster: Broadcaster | None = None
    transactions: Transactions | None = None
    migrations: Migrations | None = None
    tracker: Tracker | None = None
    carrier: Broker | None = None
    """The same broker for one whose jobs another engine's `tracker` keeps: it takes what `broker` refuses, for it cannot look jobs up."""
    async_transactions: AsyncTransactions | None = None
    dead_letters: DeadLetters | None = None
    """Only of an engine without `browse` and `control`."""
