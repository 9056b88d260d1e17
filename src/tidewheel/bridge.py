"""The one place where sync meets async, and where many who wait share one who listens.

`Gatherer`  concurrent `adelay` calls of one event loop become one `publish(batch)` in a thread.
`Listener`  one thread waits for the results that anybody in this process awaits, and resolves their futures.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from tidewheel.contract import Receipt, Record, ResultStore
from tidewheel.core.job import Envelope
from tidewheel.errors import BrokerError

log = logging.getLogger("tidewheel.results")

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


class Listener:
    """Waits for results on behalf of everybody in this process. Its thread exists while somebody waits (and a little longer)."""

    LINGER = 5.0

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._watched: dict[str, list[Future[Record]]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, job_id: str) -> Future[Record]:
        """A future of the job's record once it has ended."""
        future: Future[Record] = Future()
        with self._lock:
            self._watched.setdefault(job_id, []).append(future)
            self._news.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tidewheel-results", daemon=True)
                self._thread.start()
        self._store.wake_waiters()
        return future

    def unwatch(self, job_id: str, future: Future[Record]) -> None:
        with self._lock:
            waiting = self._watched.get(job_id, [])
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._watched.pop(job_id, None)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            thread = self._thread
        self._news.set()
        self._store.wake_waiters()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def _run(self) -> None:
        pause = 0.0
        while True:
            self._news.clear()
            with self._lock:
                ids = list(self._watched)
                if self._closed:
                    self._thread = None
                    self._fail(BrokerError("the app was closed while a result was awaited"))
                    return
            if not ids:
                if not self._news.wait(self.LINGER):
                    with self._lock:
                        if not self._watched:
                            self._thread = None
                            return
                continue
            try:
                ended = self._store.wait(ids, 5.0)
                pause = 0.0
            except BrokerError as error:
                # The engine is away: those who wait have their own time limits; go on asking, ever more slowly.
                pause = min(1.0, pause * 2 + 0.05)
                log.warning("results cannot be read: %s", error)
                time.sleep(pause)
                continue
            except Exception as error:  # a bug of ours must reach those who wait, not hang them
                with self._lock:
                    self._fail(error)
                continue
            with self._lock:
                futures = [(f, record) for id_, record in ended.items() for f in self._watched.pop(id_, [])]
            for future, record in futures:
                if not future.done():
                    future.set_result(record)

    def _fail(self, error: Exception) -> None:
        for futures in self._watched.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)
        self._watched.clear()


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run a sync verb off the loop."""
    return await asyncio.to_thread(function, *args)
