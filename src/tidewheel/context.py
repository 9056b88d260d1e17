"""What a running task can know and say of its own job.

    @app.task(context=True)
    def import_rows(job: Context, path: str) -> int: ...

or anywhere below a running task: `current()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tidewheel.core.job import Envelope
from tidewheel.errors import Cancelled, ConfigurationError
from tidewheel.middleware import Job
from tidewheel.wire.values import NotEncodable, encode

if TYPE_CHECKING:
    from tidewheel.task import Call

__all__ = ["After", "Context", "current"]

After = Literal["success", "failure"]

PROGRESS_LIMIT = 16_384


class CancelFlag:
    """Whether a cancellation was asked for. Nobody waits on it, so it needs none of what makes a `threading.Event` slow to build."""

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set


class Transacting(Protocol):
    """The transaction of a run; the executor's."""

    def open(self) -> Any: ...

    def roll_back(self, error: BaseException) -> None: ...

    def connection_of(self, owner: object) -> Any: ...


class Context:
    """The run of one job, as its task sees it."""

    __slots__ = ("_cancel", "_report", "follow_ups", "job", "transacting")

    def __init__(
        self,
        job: Job,
        *,
        report: Callable[[bytes], None] | None = None,
        cancel: CancelFlag | None = None,
        transacting: Transacting | None = None,
    ) -> None:
        self.job = job
        self.transacting = transacting
        self._report = report
        self._cancel = cancel
        self.follow_ups: list[tuple[After, Envelope]] | None = None
        """What `follow` was asked for; the executor sends it with the outcome."""

    @property
    def id(self) -> str:
        """The job's id; the same at every attempt, so it can serve as an idempotency key towards others."""
        return self.job.id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.job.attempt

    @property
    def max_attempts(self) -> int:
        return self.job.max_attempts

    @property
    def cancelled(self) -> bool:
        """Whether this job's cancellation was asked for."""
        return self._cancel is not None and self._cancel.is_set()

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if this job's cancellation was asked for. For loops in code that cannot be interrupted."""
        if self.cancelled:
            raise Cancelled("cancelled by request")

    def progress(self, value: Any) -> None:
        """Say how far it is: any small storable value, as `0.4` or `{"done": 40, "of": 100}`. The last one is kept.

        Raises `TypeError` when it cannot be stored or has more than 16 KiB encoded. Cheap: it is sent with the next beat.
        """
        try:
            data = encode(value)
        except NotEncodable as error:
            raise TypeError(f"progress{error.path}: {error}") from None
        if len(data) > PROGRESS_LIMIT:
            raise TypeError(f"progress: {len(data)} bytes encoded; at most {PROGRESS_LIMIT} are kept")
        if self._report is not None:
            self._report(data)

    def follow(self, *calls: Call[Any], after: After = "success") -> None:
        """Publish these calls (`task.call(…)`) when this run ends so: in one atomic step with its outcome, where the engine can.

        `success`: it returned. `failure`: it failed for good. Otherwise they are dropped, so a run that is tried again says it again.
        A run that ends with its process (killed, out of memory) publishes nothing. Without a worker nothing is published either.
        """
        if self.follow_ups is None:
            self.follow_ups = []
        self.follow_ups.extend((after, call.envelope) for call in calls)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A block that gives a connection to the broker's own database (`psycopg.Connection`, `sqlite3.Connection`).

            with job.transaction() as connection:
                connection.execute("UPDATE …")

        What is written on it is committed together with the job's acknowledgement and result, in one transaction, when the task
        returns; so the effect happens exactly once. When the task raises, when its claim has meanwhile gone to another worker, or when
        this process dies, neither is. Jobs that are published from the block on are part of it too. An error in the block
        rolls back at once. Do not commit on it yourself, and keep it short: on SQLite everybody else who writes waits for its end.

        For `def` tasks. Raises `MissingRole` on an engine without transactions, `BrokerError`s, and `ConfigurationError` in an
        `async def` task and where no worker runs the job.
        """
        if self.transacting is None:
            raise ConfigurationError(
                "job.transaction(): no worker runs this job, so there is no acknowledgement to commit; in tests, publish the task and let "
                "tidewheel.testing.run_pending(app) run it"
            )
        connection = self.transacting.open()
        try:
            yield connection
        except BaseException as error:
            self.transacting.roll_back(error)
            raise


_current: ContextVar[Context | None] = ContextVar("tidewheel_context", default=None)


def running() -> Context | None:
    """The context of the job that is running here; None outside of one."""
    return _current.get()


def current() -> Context:
    """The context of the job that is running here. Raises `ConfigurationError` outside of one."""
    context = _current.get()
    if context is None:
        raise ConfigurationError("no job is running here: tidewheel.current() only works below a running task")
    return context
