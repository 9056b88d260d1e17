"""Several results at once: `ResultSet`, `GroupResult`. Code takes them from `tidewheel.celery.result`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tidewheel.celery._state import app_or_default, assert_will_not_block
from tidewheel.celery.exceptions import NotSupported, TimeoutError

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery

__all__ = ["GroupResult", "ResultBase", "ResultSet"]


class ResultBase:
    """What all results have in common."""

    parent: Any = None
    _app: Celery | None = None
    """The app that this class belongs to, if to one."""


class ResultSet(ResultBase):
    """Several results, in order."""

    def __init__(self, results: Iterable[Any], app: Celery | None = None, ready_barrier: Any = None, **kwargs: Any) -> None:
        self.app = app_or_default(app or self._app)
        self.results: list[Any] = list(results)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(r.id for r in self.results)}]>"

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: Any) -> Any:
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultSet) and other.results == self.results

    def __hash__(self) -> int:
        return hash(tuple(r.id for r in self.results))

    @property
    def children(self) -> list[Any]:
        return self.results

    def add(self, result: Any) -> None:
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: Any) -> None:
        wanted = self.app.AsyncResult(result) if isinstance(result, str) else result
        try:
            self.results.remove(wanted)
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: Any) -> None:
        if result in self.results:
            self.results.remove(result)

    def update(self, results: Iterable[Any]) -> None:
        self.results.extend(r for r in results if r not in self.results)

    def clear(self) -> None:
        self.results.clear()

    def successful(self) -> bool:
        return all(r.successful() for r in self.results)

    def failed(self) -> bool:
        return any(r.failed() for r in self.results)

    def waiting(self) -> bool:
        return any(not r.ready() for r in self.results)

    def ready(self) -> bool:
        return all(r.ready() for r in self.results)

    def completed_count(self) -> int:
        return sum(r.successful() for r in self.results)

    def maybe_throw(self, callback: Any = None, propagate: bool = True) -> None:
        for r in self.results:
            r.maybe_throw(callback=callback, propagate=propagate)

    maybe_reraise = maybe_throw

    def forget(self) -> None:
        for r in self.results:
            r.forget()

    def revoke(self, connection: Any = None, terminate: bool = False, signal: Any = None, wait: bool = False, timeout: Any = None) -> None:
        self.app.control.revoke([r.id for r in self.results], terminate=terminate, signal=signal)

    def get(
        self, timeout: float | None = None, propagate: bool = True, interval: float = 0.5, callback: Any = None, no_ack: bool = True,
        on_message: Any = None, disable_sync_subtasks: bool = True, on_interval: Any = None,
    ) -> list[Any]:  # fmt: skip
        """The values, in order."""
        if disable_sync_subtasks:
            assert_will_not_block()
        end = None if timeout is None else time.monotonic() + timeout
        values = []
        for result in self.results:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0.0 and not result.ready():
                raise TimeoutError("join operation timed out")
            value = result.get(
                timeout=None if left is None else max(0.0, left), propagate=propagate, interval=interval, on_interval=on_interval,
                disable_sync_subtasks=False,
            )  # fmt: skip
            if callback is not None:
                callback(result.id, value)
            else:
                values.append(value)
        return values

    join = join_native = get

    def iter_native(self, timeout: float | None = None, **kwargs: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for result in self.results:
            result.get(timeout=timeout, propagate=False)
            yield result.id, result._meta()

    def then(self, callback: Callable[[Any], Any], on_error: Any = None, weak: bool = False) -> Any:
        raise NotSupported("ResultSet.then() is not there yet: use then() of each result, or join()")

    @property
    def supports_native_join(self) -> bool:
        return True

    @property
    def backend(self) -> Any:
        return self.app.backend


class GroupResult(ResultSet):
    """Several results under one id. They are not stored under it: `save` and `restore` are not there yet."""

    def __init__(self, id: str | None = None, results: Iterable[Any] | None = None, parent: Any = None, **kwargs: Any) -> None:
        self.id = id
        self.parent = parent
        super().__init__(results or [], **kwargs)

    def save(self, backend: Any = None) -> Any:
        raise NotSupported("GroupResult.save() is not there yet: keep the ids, [r.id for r in group.results]")

    def delete(self, backend: Any = None) -> None:
        raise NotSupported("GroupResult.delete() is not there yet: nothing is stored under a group's id")

    @classmethod
    def restore(cls, id: str, backend: Any = None, app: Celery | None = None, parent: Any = None) -> Any:
        raise NotSupported("GroupResult.restore() is not there yet: keep the ids of the tasks and ask for each with AsyncResult(id)")

    def as_tuple(self) -> Any:
        return (self.id, self.parent and self.parent.as_tuple()), [r.as_tuple() for r in self.results]
