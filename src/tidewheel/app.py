"""Tidewheel: holds the tasks and the wiring. The one object that knows everything, and the only module that reaches for a backend."""

from __future__ import annotations

import inspect
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

from tidewheel import backends
from tidewheel.context import Context
from tidewheel.contract import (
    Backend,
    Browse,
    CancelAnswer,
    Control,
    Counts,
    Description,
    Migrations,
    Receipt,
    Record,
    ResultStore,
    Transactions,
)
from tidewheel.core.job import Envelope
from tidewheel.core.options import Options, Retry, check_name
from tidewheel.errors import ConfigurationError, MissingRole, ResultExpired, UnknownJob
from tidewheel.events import Broadcast, Emitter, Event, JobPublished, pack
from tidewheel.ids import made_at
from tidewheel.listener import Listener
from tidewheel.middleware import Middleware
from tidewheel.result import Result
from tidewheel.task import AsyncTask, Call, Task
from tidewheel.transaction import Joined, Transaction, ajoined, joined, opened, turn
from tidewheel.wire.failures import dotted
from tidewheel.wire.values import encode

if TYPE_CHECKING:
    from tidewheel.bridge import Gatherer

__all__ = ["DEFAULT_URL", "Tidewheel"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")
E = TypeVar("E", bound=Event)
X = TypeVar("X", bound=type[BaseException])

DEFAULT_URL = "sqlite:///tidewheel.db"

_apps: weakref.WeakSet[Tidewheel] = weakref.WeakSet()


class TaskDecorator(Protocol):
    """What `@app.task(…)` answers."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class ContextTaskDecorator(Protocol):
    """What `@app.task(context=True, …)` answers: the first argument is the worker's business, not the caller's."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...


class Tidewheel:
    """An application: its tasks, its broker, its middleware and listeners.

    `url` names the broker: `sqlite:///path` (the default: `tidewheel.db` in the working directory), `memory://`; without it the
    environment variable `TIDEWHEEL_URL` decides. `results` names another engine for the results, as a URL (or `TIDEWHEEL_RESULTS`); without
    it they are with the broker. `payload_limit` and `result_limit` are bytes, encoded. `queue`, `retry`,
    `time_limit`, `soft_time_limit`, `result_ttl` are defaults for the tasks. `queues` is what its workers consume
    without `-Q` (by default the queues that its tasks name), and `workers` what they take where their command line says nothing:
    `concurrency`, `max_tasks_per_child`, `max_memory_per_child` (bytes). Nothing is opened before it is needed.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        results: str | None = None,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        payload_limit: int = 256 * 1024,
        result_limit: int = 1024 * 1024,
        queue: str = "default",
        queues: Sequence[str] = (),
        workers: Mapping[str, int] = {},
        retry: Retry | int | None = None,
        time_limit: float | timedelta | None = 1800.0,
        soft_time_limit: float | timedelta | None = None,
        result_ttl: float | timedelta = 3600.0,
    ) -> None:
        self.url = url or os.environ.get("TIDEWHEEL_URL") or DEFAULT_URL
        self.results_url = results or os.environ.get("TIDEWHEEL_RESULTS") or None
        """Where results are kept; None: with the broker."""
        self.name = name
        self.middleware: list[Middleware] = list(middleware)
        self.payload_limit = payload_limit
        self.result_limit = result_limit
        self.queues = tuple(check_name("queue", q) for q in queues)
        """What its workers consume unless -Q says otherwise; empty: the queues of its tasks."""
        self.workers = _checked_workers(workers)
        """What its workers take where their command line says nothing."""
        self.events = Emitter()
        self.defaults = Options().changed(
            {"queue": queue, "retry": retry, "time_limit": time_limit, "soft_time_limit": soft_time_limit, "result_ttl": result_ttl}
        )
        self._tasks: dict[str, Task[..., Any]] = {}
        self._errors: dict[str, type[BaseException]] = {}
        self._lock = threading.RLock()
        self._backend: Backend | None = None
        self._listener: Listener | None = None
        self._gatherer: Gatherer | None = None
        _apps.add(self)

    def __repr__(self) -> str:
        return f"<Tidewheel {backends.mask(self.url)}>"

    # -- tasks --------------------------------------------------------------------------------------------------------

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self, *, context: Literal[True], name: str | None = ..., queue: str | None = ..., priority: int = ...,
        retry: Retry | int | None = ..., time_limit: float | timedelta | None = ..., soft_time_limit: float | timedelta | None = ...,
        result_ttl: float | timedelta | None = ..., expires: float | timedelta | None = ...,
    ) -> ContextTaskDecorator: ...  # fmt: skip
    @overload
    def task(
        self, *, context: Literal[False] = ..., name: str | None = ..., queue: str | None = ..., priority: int = ...,
        retry: Retry | int | None = ..., time_limit: float | timedelta | None = ..., soft_time_limit: float | timedelta | None = ...,
        result_ttl: float | timedelta | None = ..., expires: float | timedelta | None = ...,
    ) -> TaskDecorator: ...  # fmt: skip
    def task(self, *functions: Any, **options: Any) -> Any:
        """Make a function a task, bare (`@app.task`) or with options (`@app.task(queue="mail", retry=Retry(5))`).

        `name` what jobs call it; by default `module.function`, and it must stay the same while jobs are waiting · `queue` where its
        jobs wait · `priority` −100 … 100, higher first · `retry` a `Retry`, a number of attempts, or None (a failed run is not tried
        again) · `time_limit` seconds after which a run is ended (1800; None: never) · `soft_time_limit` seconds after which
        `SoftTimeLimit` is raised in it · `result_ttl` seconds for which its result is kept (3600; 0: not at all) · `expires` seconds
        within which a job must start · `context=True` gives the function a `Context` as its first argument. Raises
        `ConfigurationError` here, at import, for what cannot be.
        """

        context, name = options.pop("context", False), options.pop("name", None)

        def make(f: Callable[..., Any]) -> Task[..., Any]:
            if isinstance(f, Task) or not callable(f) or not hasattr(f, "__qualname__"):
                raise ConfigurationError(f"@app.task on {f!r}: it is {'a task already' if isinstance(f, Task) else 'not a function'}")
            chosen = self.defaults.changed({k: v for k, v in options.items() if not (k in ("queue", "result_ttl") and v is None)})
            kind = AsyncTask if inspect.iscoroutinefunction(f) else Task
            return self._register(kind(self, f, name or _task_name(f), chosen, context=context))

        return make(*functions) if functions else make

    def _register(self, task: Task[..., Any]) -> Task[..., Any]:
        task.check()
        with self._lock:
            other = self._tasks.get(task.name)
            if other is not None and _origin(other.function) != _origin(task.function):
                first, second = _origin(other.function), _origin(task.function)
                raise ConfigurationError(f"two tasks are named {task.name!r}: {first} and {second}; give one of them another name=")
            self._tasks[task.name] = task
        return task

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks by name."""
        return dict(self._tasks)

    # -- publishing ---------------------------------------------------------------------------------------------------

    def publish_new(self, call: Call[Any]) -> Result[Any]:
        """Publish a call that was made just now, and that nobody else has: what `task.delay` does. Raises `BrokerError`s."""
        if call.tx is not None or opened(self) is not None:
            return self.publish_many((call,))[0]
        (receipt,) = self.backend.broker.publish((call.envelope,), fresh=True)
        if self.events.wants(JobPublished):
            return self._results((call,), (receipt,))[0]
        return Result(self, receipt.id, call.task.returns, created=receipt.created)

    def publish_many(self, calls: Iterable[Call[Any]]) -> list[Result[Any]]:
        """Publish calls of any tasks (`task.call(…)`) in one round trip, all or nothing. Raises `BrokerError`s."""
        calls = list(calls)
        if not calls:
            return []
        block = self._joined(calls)
        envelopes = [c.envelope for c in calls]
        if block is None:
            return self._results(calls, self.backend.broker.publish(envelopes))
        receipts = self.transactions().publish(envelopes, block.connection)
        block.queues.update(e.queue for e in envelopes)
        return self._results(calls, receipts)

    async def apublish_many(self, calls: Iterable[Call[Any]]) -> list[Result[Any]]:
        """As `publish_many`, for async code; what is under way together shares one round trip."""
        calls = list(calls)
        if not calls:
            return []
        if (block := self._joined(calls)) is not None:
            connection = block.connection
            role = (await self._abackend()).async_transactions
            if role is None or not role.takes(connection):
                return self.publish_many(calls)  # on a connection that blocks, and so in the caller's thread
            async with turn(connection):
                if block.connection is None:
                    raise ConfigurationError("the transaction ended before this was published in it: await what publishes within its block")
                envelopes = [c.envelope for c in calls]
                receipts = await role.publish(envelopes, connection)
            block.queues.update(e.queue for e in envelopes)
            return self._results(calls, receipts)
        gatherer = self._gatherer
        if gatherer is None:
            from tidewheel.bridge import Gatherer  # asyncio is a third of the cost of importing Tidewheel: only who awaits pays it

            gatherer = self._gatherer = Gatherer(self._publish)
        return self._results(calls, await gatherer.publish([c.envelope for c in calls]))

    def transaction(self, connection: C) -> Transaction[C]:
        """Publish together with data of yours: jobs that are published in the block are stored when its transaction commits.

            with app.transaction(connection):                   async with app.transaction(connection):
                connection.execute("INSERT INTO users …")           await connection.execute("INSERT INTO users …")
                send_welcome.delay(7)                                await send_welcome.adelay(7)

        `connection` is a `psycopg.Connection` (or `sqlite3.Connection`), for `async with` a `psycopg.AsyncConnection`, to the database that
        the broker uses. The block is as the driver's own: committed at its end and rolled back when it raises, or, within a transaction
        that is open already, a savepoint. Once it is committed, a worker is woken. Only the thread (or async task) of the block, and
        async tasks that it started, publish into it. Raises `MissingRole` on an engine that has no transactions, `ConfigurationError` for a
        connection to something else, `BrokerError`s.
        """
        return Transaction(self._transaction(connection), self._atransaction(connection))

    @contextmanager
    def _transaction(self, connection: C) -> Iterator[C]:
        with self.transactions().begin(connection) as same, joined(self, same):
            yield same

    @asynccontextmanager
    async def _atransaction(self, connection: C) -> AsyncIterator[C]:
        what = "publish in a transaction that is awaited (`async with`)"
        role = self._role((await self._abackend()).async_transactions, what, "postgresql://")
        async with ajoined(self, role.begin(connection)) as same:
            yield same

    def _joined(self, calls: Sequence[Call[Any]]) -> Joined | None:
        """In whose transaction these calls are to be published; None: in one of their own."""
        given = {id(c.tx): c.tx for c in calls}
        if len(given) > 1:
            raise ConfigurationError("publish_many publishes all or nothing, and these calls name different connections (using(tx=…))")
        (tx,) = given.values()
        return opened(self) if tx is None else Joined(self, tx)

    def transactions(self) -> Transactions:
        """The role that publishes and settles within transactions. Raises `MissingRole`."""
        return self._role(self.backend.transactions, "publish in a transaction of yours", "postgresql:// or sqlite://")

    def send(self, name: str, *args: Any, **kwargs: Any) -> Result[Any]:
        """Publish a job of a task by its name; with a task that this process does not know, the arguments go unchecked to `default`."""
        task = self._tasks.get(name)
        if task is None:
            task = Task(self, _unknown, name, self.defaults)
        return task.delay(*args, **kwargs)

    def _publish(self, batch: Sequence[Envelope]) -> Sequence[Receipt]:
        return self.backend.broker.publish(batch)

    def _results(self, calls: Sequence[Call[Any]], receipts: Sequence[Receipt]) -> list[Result[Any]]:
        if self.events.wants(JobPublished):
            for call, receipt in zip(calls, receipts, strict=True):
                if receipt.created:
                    self.events.emit(JobPublished(id=receipt.id, task=call.task.name, queue=call.envelope.queue))
        return [Result(self, r.id, c.task.returns, created=r.created) for c, r in zip(calls, receipts, strict=True)]

    # -- asking -------------------------------------------------------------------------------------------------------

    def result(self, job_id: str) -> Result[Any]:
        """The result of a job that was published earlier, maybe elsewhere."""
        return Result(self, job_id)

    def record(self, job_id: str) -> Record:
        """What is known of a job. Raises `UnknownJob` or `ResultExpired`."""
        found = self._results_store().records([job_id]).get(job_id)
        return found if found is not None else self._missing(job_id)

    def _missing(self, job_id: str) -> Record:
        made = made_at(job_id)
        if made is None:
            raise UnknownJob(f"{job_id!r} is not a job id", job_id)
        when = f"{datetime.fromtimestamp(made, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
        if self.backend.broker.now() - made > self.defaults.result_ttl:
            raise ResultExpired(f"nothing is kept of job {job_id} (made {when}): its result's time to live is over", job_id)
        raise UnknownJob(f"no job {job_id} is known to {backends.mask(self.url)}", job_id)

    def watch(self, job_id: str) -> Future[Record]:
        """A future of the job's record once it has ended; share of one listening thread."""
        with self._lock:
            if self._listener is None:
                self._listener = Listener(self._results_store())
            listener = self._listener
        return listener.watch(job_id)

    def unwatch(self, job_id: str, future: Future[Record]) -> None:
        if self._listener is not None:
            self._listener.unwatch(job_id, future)

    async def arecord(self, job_id: str) -> Record:
        """The job's record once it has ended."""
        from tidewheel.bridge import ended

        return await ended(self, job_id)

    def cancel(self, *ids: str) -> Sequence[CancelAnswer]:
        """Cancel jobs: see `Result.cancel`."""
        return self._control("cancel").cancel(ids)

    def forget(self, *ids: str) -> int:
        """Delete results. Returns how many there were."""
        return self._results_store().forget(ids)

    def counts(self, *queues: str) -> Mapping[str, Counts]:
        """The depth of queues; of all when none is named."""
        return self.backend.broker.counts(queues)

    def purge(self, queue: str) -> int:
        """Delete every job of a queue that is not running. Returns how many."""
        return self.backend.broker.purge(queue)

    def describe(self) -> Description:
        """What the broker guarantees at its present settings."""
        return self.backend.broker.describe()

    def broadcast(self, topic: str, data: Any = None) -> int:
        """Tell every worker that is connected right now; `@app.on(Broadcast)` functions hear it, once in each executor process.

        For what may be missed (drop a cache, reload a setting): nothing is stored, and nobody answers. Returns how many workers listened;
        0 also when their apps do not listen for broadcasts. Raises `MissingRole` on an engine that cannot (SQLite), `BrokerError`s.
        """
        return self._role(self.backend.broadcaster, "broadcast", "redis://").send(pack(Broadcast(topic=topic, packed=encode(data))))

    # -- events and errors --------------------------------------------------------------------------------------------

    def on(self, kind: type[E]) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
        """Call the decorated function with every event of this kind: `@app.on(JobFailed)`. See `tidewheel.events`."""

        def subscribe(listener: Callable[[E], None]) -> Callable[[E], None]:
            self.events.subscribe(kind, listener)
            return listener

        return subscribe

    def register_error(self, cls: X) -> X:
        """Let `Result.get` raise this exception class itself (builtins need no registration). Usable as a class decorator."""
        self._errors[dotted(cls)] = cls
        return cls

    def known_errors(self) -> Mapping[str, type[BaseException]]:
        return self._errors

    # -- wiring -------------------------------------------------------------------------------------------------------

    def absolute_url(self) -> str:
        """The broker's URL; what is relative in it is relative to this process's working directory."""
        return backends.absolute(self.url)

    def absolute_results_url(self) -> str | None:
        """The same for the results."""
        return None if self.results_url is None else backends.absolute(self.results_url)

    def migrations(self) -> list[tuple[str, Migrations]]:
        """The schemas that an operator looks after, of the broker and of the results, each with its URL (no password). Opens nothing."""
        urls = dict.fromkeys(url for url in (self.url, self.results_url) if url is not None)
        found = [(backends.mask(url), backends.connect(url).migrations) for url in urls]
        return [(url, role) for url, role in found if role is not None]

    @property
    def backend(self) -> Backend:
        """The broker and its roles, opened at the first use in this process. Raises `BrokerError`s."""
        backend = self._backend
        if backend is not None:
            return backend
        with self._lock:
            if self._backend is None:
                backend = backends.connect(self.url, self.results_url)
                backend.broker.open()
                self._backend = backend
            return self._backend

    async def _abackend(self) -> Backend:
        """The same off the event loop, for to open it takes a while."""
        if (backend := self._backend) is not None:
            return backend
        import asyncio

        return await asyncio.to_thread(lambda: self.backend)

    def close(self) -> None:
        """Release connections and threads. Jobs stay; the app may be used again."""
        with self._lock:
            listener, backend = self._listener, self._backend
            self._listener = self._backend = self._gatherer = None
        if listener is not None:
            listener.close()
        if backend is not None:
            backend.broker.close()

    def __enter__(self) -> Tidewheel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _results_store(self) -> ResultStore:
        return self._role(self.backend.results, "keep results")

    def _control(self, what: str) -> Control:
        return self._role(self.backend.control, f"{what} jobs")

    def browse(self) -> Browse:
        """The role that lists jobs and workers. Raises `MissingRole`."""
        return self._role(self.backend.browse, "list jobs")

    def control(self) -> Control:
        """The role that cancels and revives jobs. Raises `MissingRole`."""
        return self._control("cancel or revive")

    def _role(self, role: R | None, what: str, who: str = "") -> R:
        if role is not None:
            return role
        broker = backends.mask(self.url)
        if who:
            raise MissingRole(f"{broker} cannot {what}; a {who} broker can")
        raise MissingRole(
            f'{broker} alone cannot {what}: give it a place for that, as Tidewheel(…, results="redis://…", "postgresql://…" or "sqlite:///…")'
        )

    def _forget_connections(self) -> None:
        """In a forked child: drop what belongs to the parent, without closing it."""
        self._lock = threading.RLock()
        self._listener = self._backend = self._gatherer = None


def _checked_workers(workers: Mapping[str, int]) -> dict[str, int]:
    for name, value in workers.items():
        if name not in ("concurrency", "max_tasks_per_child", "max_memory_per_child") or type(value) is not int or value < 1:
            raise ConfigurationError(
                f"workers={{{name!r}: {value!r}}}: expected whole numbers from 1 for concurrency, max_tasks_per_child, max_memory_per_child"
            )
    return dict(workers)


def _task_name(function: Callable[..., Any]) -> str:
    module = function.__module__
    if module == "__main__":
        # A script's jobs must have the name under which a worker will import it.
        import sys
        from pathlib import Path

        spec = getattr(sys.modules["__main__"], "__spec__", None)
        file = getattr(sys.modules["__main__"], "__file__", None)
        module = spec.name if spec is not None else Path(file).stem if file and Path(file).is_file() else module
    return f"{module}.{function.__qualname__}".replace("<locals>.", "").replace("<lambda>", "lambda")


def _origin(function: Callable[..., Any]) -> str:
    code = inspect.unwrap(function).__code__ if hasattr(inspect.unwrap(function), "__code__") else None
    return f"{os.path.realpath(code.co_filename)}:{code.co_qualname}" if code is not None else repr(function)


def _unknown(*args: Any, **kwargs: Any) -> Any:
    """Stands for a task that this process does not know."""


def _drop_all() -> None:
    for app in list(_apps):
        app._forget_connections()  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_all)
