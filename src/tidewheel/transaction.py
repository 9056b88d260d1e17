"""Where an app's publications go while a transaction of the user's is open: into that, so that jobs and data are one commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tidewheel.context import running

__all__ = ["Joined", "joined", "opened"]


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
