"""A task: a function and its frozen options. Calling `delay` binds and encodes the arguments, and publishes a job."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

import msgspec

from tidewheel.context import Context
from tidewheel.core.job import Envelope
from tidewheel.core.options import Options, Retry, check_name
from tidewheel.errors import ConfigurationError, InvalidArguments
from tidewheel.ids import job_id
from tidewheel.middleware import Job
from tidewheel.result import Result, ResultSource
from tidewheel.wire.call import encode_call
from tidewheel.wire.values import NotEncodable, convert

__all__ = ["AsyncTask", "Call", "Publisher", "Task"]

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

OVERRIDES = "tidewheel-options"
"""The header in which options given at the call travel to the worker."""


class Publisher(ResultSource, Protocol):
    """What a task asks of the app."""

    payload_limit: int

    def publish_new(self, call: Call[Any]) -> Result[Any]: ...

    def publish_many(self, calls: Iterable[Call[Any]]) -> list[Result[Any]]: ...

    async def apublish_many(self, calls: Iterable[Call[Any]]) -> list[Result[Any]]: ...


class Call(Generic[R]):
    """A job that has not been published yet: what `task.call(…)` makes and `app.publish_many` takes."""

    __slots__ = ("envelope", "task", "tx")

    def __init__(self, task: Task[..., R], envelope: Envelope, tx: Any = None) -> None:
        self.task = task
        self.envelope = envelope
        self.tx = tx
        """The connection in whose transaction it is to be published; None: of its own."""

    @property
    def id(self) -> str:
        return self.envelope.id


class Task(Generic[P, R]):
    """A function that can run in a worker. Made by `@app.task`; immutable, so it can be shared and changed copies are cheap."""

    def __init__(self, publisher: Publisher, function: Callable[..., Any], name: str, options: Options, *, context: bool = False) -> None:
        self.publisher = publisher
        self.function = function
        self.name = check_name("task", name)
        self.options = options
        self.declared = options
        self.takes_context = context
        self.tx: Any = None
        functools.update_wrapper(self, function, updated=())

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, as if it were no task."""
        if self.takes_context:
            job = Job(id=job_id(), task=self.name, args=args, kwargs=kwargs, queue=self.options.queue)
            return cast(R, self.function(Context(job), *args, **kwargs))
        return cast(R, self.function(*args, **kwargs))

    # -- publishing ---------------------------------------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """Publish a job with these arguments. When it returns, the job is stored at the level that `tidewheel status` shows.

        Raises `InvalidArguments` before any I/O when they do not fit the function or cannot be stored, else a `BrokerError`.
        """
        return self.publisher.publish_new(self._call(args, kwargs))

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """As `delay`, for async code. Calls that are under way together share one round trip."""
        return (await self.publisher.apublish_many((self.call(*args, **kwargs),)))[0]

    def map(self, values: Iterable[Any]) -> list[Result[R]]:
        """One job for each value (its only argument), published in one round trip, all or nothing."""
        return self.publisher.publish_many([self._call((v,), {}) for v in values])

    def starmap(self, values: Iterable[Sequence[Any]]) -> list[Result[R]]:
        """One job for each sequence of arguments, published in one round trip, all or nothing."""
        return self.publisher.publish_many([self._call(tuple(v), {}) for v in values])

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """A job with these arguments that is not published yet; hand it to `app.publish_many` together with others."""
        return self._call(args, kwargs)

    def using(
        self,
        *,
        queue: str = ...,  # type: ignore[assignment]
        priority: int = ...,  # type: ignore[assignment]
        countdown: float | timedelta = ...,  # type: ignore[assignment]
        eta: datetime | None = ...,  # type: ignore[assignment]
        expires: float | timedelta | datetime | None = ...,  # type: ignore[assignment]
        key: str | None = ...,  # type: ignore[assignment]
        key_window: float | timedelta = ...,  # type: ignore[assignment]
        retry: Retry | int | None = ...,  # type: ignore[assignment]
        time_limit: float | timedelta | None = ...,  # type: ignore[assignment]
        soft_time_limit: float | timedelta | None = ...,  # type: ignore[assignment]
        result_ttl: float | timedelta = ...,  # type: ignore[assignment]
        headers: Mapping[str, str] = ...,  # type: ignore[assignment]
        tx: Any = ...,
    ) -> typing.Self:
        """A copy of this task with options changed, for one call or for many.

        `queue` where its jobs wait · `priority` −100 … 100, higher first (0) · `countdown` seconds before it may start · `eta` the
        moment (with a time zone) before which it may not start · `expires` seconds, or the moment, after which it is not started
        any more · `key` idempotency key: while a job with it lives in the queue, and for `key_window` seconds (60) after it ended,
        a second one is not stored and you get the first one's Result · `retry` as in `@app.task` · `time_limit`,
        `soft_time_limit` seconds of one run · `result_ttl` seconds for which the result is kept (3600; 0: not) · `headers` texts
        that travel with the job · `tx` a connection (`psycopg.Connection`, `sqlite3.Connection`; with `adelay` a
        `psycopg.AsyncConnection`) to the broker's own database: the job is published when the transaction that is open on it commits, which
        is your business; see `app.transaction`, which also wakes a worker then. Raises `ConfigurationError` for an impossible value.
        """
        given = {k: v for k, v in locals().items() if k not in ("self", "tx", "__class__") and v is not ...}
        changed = self._with(self.options.changed(given))
        if tx is not ...:
            changed.tx = tx
        return changed

    def _with(self, options: Options) -> typing.Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.options = options
        return copy

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call[R]:
        if kwargs or (plain := self._plain) is None or not plain[1] <= len(args) <= len(plain[0]):
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as error:
                raise InvalidArguments(f"{self.name}{self._signature}: {error}") from None
        try:
            body = encode_call(args, kwargs)
        except NotEncodable as error:
            raise InvalidArguments(f"{self.name}: {error.path}: {error}") from None
        if len(body) > self.publisher.payload_limit:
            raise InvalidArguments(
                f"{self.name}: arguments of {len(body)} bytes, and the limit is {self.publisher.payload_limit}: store the data "
                f"elsewhere and pass its key, or raise Tidewheel(payload_limit=…)"
            )
        return Call(self, self._envelope(body), self.tx)

    def _envelope(self, body: bytes) -> Envelope:
        o = self.options
        if o is self.declared and not o.headers and o.expires is None and o.key is None and not o.countdown and o.eta is None:
            return Envelope(id=job_id(), task=self.name, body=body, queue=o.queue, priority=o.priority)  # the common case, fast
        headers = dict(o.headers)
        if overrides := o.overrides(self.declared):
            headers[OVERRIDES] = msgspec.json.encode(overrides).decode()
        return Envelope(
            id=job_id(), task=self.name, body=body, queue=o.queue, priority=o.priority, delay=o.countdown,
            due=None if o.eta is None else o.eta.timestamp(),
            lifetime=None if isinstance(o.expires, datetime) else o.expires,
            expires=o.expires.timestamp() if isinstance(o.expires, datetime) else None,
            key=o.key, key_window=o.key_window, headers=headers,
        )  # fmt: skip

    def check(self) -> None:
        """Raise `ConfigurationError` for a function that cannot be a task."""
        try:
            _ = self._signature
        except (TypeError, ValueError) as error:
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(f"task {self.name}: its signature cannot be read: {error}") from None

    # -- what the executor needs ----------------------------------------------------------------------------------------

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        signature = inspect.signature(self.function)
        if not self.takes_context:
            return signature
        parameters = list(signature.parameters.values())
        if not parameters:
            raise ConfigurationError(f"task {self.name}: context=True, but the function takes no argument for the context")
        return signature.replace(parameters=parameters[1:])

    @functools.cached_property
    def _plain(self) -> tuple[tuple[tuple[str, Any], ...], int] | None:
        """Names and types of the parameters, and how many need a value, if all can be given by position (then binding is counting)."""
        parameters = self._signature.parameters.values()
        if any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters):
            return None
        kinds = tuple((p.name, self._types.get(p.name, Any)) for p in parameters)
        return kinds, sum(p.default is p.empty for p in parameters)

    @functools.cached_property
    def _types(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(self.function)
        except Exception:  # a name that only exists for type checkers: fall back to those that do resolve
            hints = {}
            for name, hint in getattr(self.function, "__annotations__", {}).items():
                try:
                    hints[name] = eval(hint, self.function.__globals__) if isinstance(hint, str) else hint  # noqa: S307 the user's own source
                except Exception:
                    hints[name] = Any
            return hints

    @functools.cached_property
    def returns(self) -> Any:
        """The annotated type of the value, `Any` when there is none."""
        kind = self._types.get("return", Any)
        return Any if kind is typing.NoReturn else kind

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Plain arguments, bound to the signature and converted by its annotations. Raises `InvalidArguments`."""
        if not kwargs and (plain := self._plain) is not None and plain[1] <= len(args) <= len(plain[0]):
            values = []
            for (name, kind), value in zip(plain[0], args, strict=False):
                try:
                    values.append(convert(value, kind))
                except ValueError as error:
                    raise InvalidArguments(f"{self.name}: {name}: {error}") from None
            return tuple(values), {}
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self.name}{self._signature}: {error}") from None
        for name, value in bound.arguments.items():
            kind = self._types.get(name, Any)
            if kind is Any:
                continue
            form = self._signature.parameters[name].kind
            try:
                if form is inspect.Parameter.VAR_POSITIONAL:
                    bound.arguments[name] = tuple(convert(v, kind) for v in value)
                elif form is inspect.Parameter.VAR_KEYWORD:
                    bound.arguments[name] = {k: convert(v, kind) for k, v in value.items()}
                else:
                    bound.arguments[name] = convert(value, kind)
            except ValueError as error:
                raise InvalidArguments(f"{self.name}: {name}: {error}") from None
        return bound.args, bound.kwargs


class AsyncTask(Task[P, R]):
    """A task whose function is `async def`: calling it directly answers the coroutine."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
        return cast("Coroutine[Any, Any, R]", super().__call__(*args, **kwargs))
