"""The one place where sync meets async: what is awaited here runs a sync verb off the event loop.

`Gatherer`  concurrent `adelay` calls of one event loop become one `publish(batch)` in a thread.
`ended`     awaits the end of a job on the process's one listener (listener.py), not on a thread of its own.

Imported when somebody awaits, so that sync programs do not pay for asyncio.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence

from tidewheel.contract import Receipt, Record
from tidewheel.core.job import ENDED, Envelope
from tidewheel.result import ResultSource

Publish = Callable[[Sequence[Envelope]], Sequence[Receipt]]


class Gatherer:
    """Publishes for event loops: while one batch is on its way, whatever else is published waits and goes as the next one."""

    def __init__(self, publish: Publish, *, most: int = 256) -> None:
        self._publish = publish
        self._most = most
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Outbox] = weakref.WeakKeyDictionary()

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[Receipt]:
        """Store the batch; other callers' batches may share its round trip and then share its failure."""
        loop = asyncio.get_running_loop()
        outbox = self._loops.get(loop)
        if outbox is None:
            outbox = self._loops[loop] = _Outbox()
        answer: asyncio.Future[Sequence[Receipt]] = loop.create_future()
        outbox.waiting.append((batch, answer))
        if outbox.task is None:
            outbox.task = loop.create_task(self._run(outbox))
        return await answer

    async def _run(self, outbox: _Outbox) -> None:
        try:
            while outbox.waiting:
                taken = [outbox.waiting.pop(0)]
                size = len(taken[0][0])
                while outbox.waiting and size + len(outbox.waiting[0][0]) <= self._most:
                    taken.append(outbox.waiting.pop(0))
                    size += len(taken[-1][0])
                await self._send(taken)
        finally:
            outbox.task = None

    async def _send(self, taken: list[tuple[Sequence[Envelope], asyncio.Future[Sequence[Receipt]]]]) -> None:
        batch = [envelope for part, _ in taken for envelope in part]
        try:
            receipts = list(await asyncio.to_thread(self._publish, batch))
        except BaseException as error:
            for _, answer in taken:
                if not answer.done():
                    answer.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            if not isinstance(error, Exception):
                raise
            return
        at = 0
        for part, answer in taken:
            if not answer.done():
                answer.set_result(receipts[at : at + len(part)])
            at += len(part)


class _Outbox:
    def __init__(self) -> None:
        self.waiting: list[tuple[Sequence[Envelope], asyncio.Future[Sequence[Receipt]]]] = []
        self.task: asyncio.Task[None] | None = None


async def ended(source: ResultSource, job_id: str) -> Record:
    """The job's record once it has ended."""
    record = await asyncio.to_thread(source.record, job_id)
    if record.state in ENDED:
        return record
    future = await asyncio.to_thread(source.watch, job_id)
    try:
        return await asyncio.wrap_future(future)
    finally:
        source.unwatch(job_id, future)
