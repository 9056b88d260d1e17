"""A coroutine into which another thread can raise an error of its choice at its next `await`.

`Task.cancel` can only raise `CancelledError`. Round a coroutine this wrapper turns the one that we asked for into our own error, and
tells the task that it is not cancelled after all, so that timeouts and task groups inside keep working.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


class Steered(Coroutine[Any, Any, None]):
    """Wraps one coroutine. `interrupt` may be called from any thread."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: BaseException | None = None

    def interrupt(self, error: BaseException) -> None:
        self._pending = error
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._pending is not None and self._task is not None and not self._task.done():
            self._task.cancel()

    def send(self, value: Any) -> Any:
        if self._task is None:
            self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
            if self._pending is not None:  # asked for before the first step
                return self.throw(asyncio.CancelledError())
        return self._coroutine.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        error = typ if isinstance(typ, BaseException) else val if val is not None else typ()
        if self._pending is not None and isinstance(error, asyncio.CancelledError):
            error, self._pending = self._pending, None
            if self._task is not None:
                self._task.uncancel()
        return self._coroutine.throw(error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()
