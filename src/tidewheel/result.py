"""What the caller of a task holds: the state, the value or the error of one job."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from tidewheel.contract import CancelAnswer, Record
from tidewheel.core.job import ENDED, State
from tidewheel.errors import ErrorRecord, JobCancelled, JobExpired, JobFailed, ResultTimeout
from tidewheel.wire.failures import decode_error, rebuild
from tidewheel.wire.values import convert, decode

__all__ = ["Result", "ResultSource"]

R = TypeVar("R", covariant=True)


class ResultSource(Protocol):
    """What a `Result` asks of the app."""

    def record(self, job_id: str) -> Record: ...

    def watch(self, job_id: str) -> Future[Record]: ...

    def unwatch(self, job_id: str, future: Future[Record]) -> None: ...

    def cancel(self, *ids: str) -> Sequence[CancelAnswer]: ...

    def forget(self, *ids: str) -> int: ...

    def known_errors(self) -> Mapping[str, type[BaseException]]: ...

    async def arecord(self, job_id: str) -> Record: ...


class Result(Generic[R]):
    """The outcome of a job, now or later. Cheap to make: nothing is asked until you ask."""

    __slots__ = ("_record", "_source", "_type", "created", "id")

    def __init__(self, source: ResultSource, job_id: str, returns: Any = Any, *, created: bool = True) -> None:
        self.id = job_id
        self.created = created
        """False when an idempotency key or id was already taken, and this is the job that holds it."""
        self._source = source
        self._type = returns
        self._record: Record | None = None

    def __repr__(self) -> str:
        return f"<Result {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def _look(self) -> Record:
        if self._record is None:
            record = self._source.record(self.id)
            if record.state not in ENDED:
                return record
            self._record = record
        return self._record

    @property
    def state(self) -> State:
        """Where the job is now. Raises `UnknownJob` or `ResultExpired`."""
        return self._look().state

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._look().state in ENDED

    @property
    def error(self) -> ErrorRecord | None:
        """How its last run failed, as data; None when it has not ended badly."""
        return decode_error(self._look().error)

    @property
    def progress(self) -> Any:
        """What the running task last said with `context.progress(…)`; None when nothing."""
        data = self._look().progress
        return None if data is None else decode(data)

    def get(self, timeout: float = 60.0) -> R:
        """The value, waiting up to `timeout` seconds for it.

        Raises the task's own exception where its class is a builtin or registered with `app.register_error`, else `JobFailed`;
        `JobCancelled`, `JobExpired`, `UnknownJob`, `ResultExpired`; `ResultTimeout` (a `TimeoutError`) when it has not ended yet.
        """
        record = self._look()
        if record.state not in ENDED:
            future = self._source.watch(self.id)
            try:
                record = self._record = future.result(timeout)
            except TimeoutError:
                if future.done():
                    raise
                raise ResultTimeout(f"job {self.id} has not ended within {timeout:g} s; it goes on", self.id) from None
            finally:
                self._source.unwatch(self.id, future)
        return self._value(record)

    async def aget(self) -> R:
        """As `get`, in async code and without a time limit of its own: `async with asyncio.timeout(10): await result.aget()`."""
        if self._record is None:
            self._record = await self._source.arecord(self.id)
        return self._value(self._record)

    def __await__(self) -> Generator[Any, None, R]:
        return self.aget().__await__()

    def cancel(self) -> CancelAnswer:
        """Cancel it: `cancelled` when it had not started, `requested` when it runs (its task is interrupted), else `ended` or `unknown`."""
        return self._source.cancel(self.id)[0]

    def forget(self) -> bool:
        """Delete the stored result now instead of at the end of its time to live. False when there was none."""
        return self._source.forget(self.id) > 0

    def _value(self, record: Record) -> R:
        if record.state == "succeeded":
            if record.value is None:
                return None  # type: ignore[return-value]
            value: R = convert(decode(record.value), self._type)
            return value
        if record.state == "cancelled":
            raise JobCancelled(f"job {self.id} was cancelled", self.id)
        if record.state == "expired":
            raise JobExpired(f"job {self.id} was not started before it expired", self.id)
        error = decode_error(record.error)
        what = f"job {self.id} is dead ({record.reason}): {error or 'no error was recorded'}"
        failed = JobFailed(what, self.id, error=error, reason=record.reason)
        if error is not None and error.traceback:
            failed.add_note("The task's own traceback:\n" + error.traceback.rstrip())
        if error is not None and record.reason in ("failed", "aborted"):
            original = rebuild(error, self._source.known_errors())
            if original is not None:
                raise original from failed
        raise failed
