"""Where an app's publications go while a transaction of the user's is open: into that, so that jobs and data are one commit."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tidewheel.context import running

if TYPE_CHECKING:
    import asyncio

__all__ = ["Joined", "Transaction", "ajoined", "joined", "opened", "turn"]

C = TypeVar("C")


class Blocking(Protocol):
    """A driver's connection that is for `with`, as type checkers tell it from the other kind."""

    def commit(self) -> None: ...


class Awaited(Protocol):
    """A driver's connection that is for `async with`."""

    def commit(self) -> Coroutine[Any, Any, None]: ...


B = TypeVar("B", bound=Blocking | None)
A = TypeVar("A", bound=Awaited | None)


class Transaction(Generic[C]):
    """What `app.transaction(connection)` answers: a block to be entered once, by `with` or by `async with`, as the connection is."""

    __slots__ = ("_awaited", "_blocking")

    def __init__(self, blocking: AbstractContextManager[C], awaited: AbstractAsyncContextManager[C]) -> None:
        self._blocking = blocking
        self._awaited = awaited

    def __enter__(self: Transaction[B]) -> B:
        return self._blocking.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return self._blocking.__exit__(kind, error, trace)

    async def __aenter__(self: Transaction[A]) -> A:
        return await self._awaited.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return await self._awaited.__aexit__(kind, error, trace)


class Joined:
    """A connection that publications of one app go through, while the block lasts: what started in it may outlive it."""

    __slots__ = ("connection", "outer", "owner", "queues")

    def __init__(self, owner: object, connection: Any, outer: Joined | None = None) -> None:
        self.owner = owner
        self.connection = connection
        self.outer = outer
        self.queues: set[str] = set()
        """Where it has published to."""


_innermost: ContextVar[Joined | None] = ContextVar("tidewheel_transaction", default=None)
_turns: weakref.WeakKeyDictionary[Any, asyncio.Lock] = weakref.WeakKeyDictionary()


@contextmanager
def joined(owner: object, connection: Any) -> Iterator[Joined]:
    """Within the block, in this thread or async task, `opened(owner)` answers this connection."""
    block = Joined(owner, connection, _innermost.get())
    token = _innermost.set(block)
    try:
        yield block
    finally:
        _innermost.reset(token)
        block.connection = None


@asynccontextmanager
async def ajoined(owner: object, begin: AbstractAsyncContextManager[C]) -> AsyncIterator[C]:
    """The same within a transaction that is awaited.

    Tasks that were started in it may be publishing when it ends, since an error ended it. Who is at it is let finish before that, or it
    would go on in a transaction that nobody knows of; who waits for its turn finds that the block is over.
    """
    ending: asyncio.Lock | None = None
    try:
        async with begin as connection:
            try:
                with joined(owner, connection):
                    yield connection
            finally:
                ending = turn(connection)
                await _without_fail(ending)
    finally:
        if ending is not None:
            ending.release()


def turn(connection: Any) -> asyncio.Lock:
    """Who holds it is the only one to publish on this connection: a publication may be several statements."""
    import asyncio  # only who awaits pays for it

    found = _turns.get(connection)
    if found is None:
        found = _turns[connection] = asyncio.Lock()
    return found


async def _without_fail(lock: asyncio.Lock) -> None:
    """Acquire it. A cancellation meanwhile is raised when it is held."""
    from asyncio import CancelledError

    cancelled: CancelledError | None = None
    while True:
        try:
            await lock.acquire()
            break
        except CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def opened(owner: object) -> Joined | None:
    """What this app publishes through here and now: the innermost block, else the running job's transaction; None without."""
    block = _innermost.get()
    while block is not None:
        if block.owner is owner and block.connection is not None:
            return block
        block = block.outer
    job = running()
    connection = None if job is None or job.transacting is None else job.transacting.connection_of(owner)
    return None if connection is None else Joined(owner, connection)
