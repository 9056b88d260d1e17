"""`asyncio`: many `async def` jobs at once in one event loop, on the executor's main thread. `def` tasks run on threads beside it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Sequence

from tidewheel.core.job import Delivery
from tidewheel.pools.lane import Loan
from tidewheel.pools.seam import STOP_ERRORS, Execution, Harness, Key, Why
from tidewheel.pools.steered import Steered
from tidewheel.pools.waiting import Waiting


class Asyncio:
    def __init__(self, harness: Harness, concurrency: int) -> None:
        self.slots = concurrency
        self._harness = harness
        self._waiting = Waiting()
        self._loop = asyncio.new_event_loop()
        self._running: dict[Key, tuple[Execution, Steered | Loan]] = {}
        self._quitting = False
        self._empty = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None

    # -- from other threads -------------------------------------------------------------------------------------------

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        self._waiting.put(deliveries)
        self._loop.call_soon_threadsafe(self._fill)

    def take_back(self, keys: Sequence[Key]) -> list[Key]:
        return self._waiting.take(keys)

    def stop(self, key: Key, why: Why) -> None:
        self._loop.call_soon_threadsafe(self._stop, key, why)

    def quit(self) -> None:
        if not self._quitting:
            self._quitting = True
            self._loop.call_soon_threadsafe(self._fill)

    # -- in the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_empty())

    async def _until_empty(self) -> None:
        await self._empty.wait()

    def _fill(self) -> None:
        while len(self._running) < self.slots:
            delivery = self._waiting.get_nowait()
            if delivery is None:
                break
            execution = self._harness.begin(delivery)
            run = Steered(execution.acall()) if execution.is_async else Loan(execution)
            self._running[execution.key] = execution, run
            self._keep(self._loop.create_task(self._one(execution, run)))
        if self._quitting and not self._running:
            self._empty.set()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)  # the loop itself only holds weak references
        task.add_done_callback(self._tasks.discard)

    async def _one(self, execution: Execution, run: Steered | Loan) -> None:
        try:
            if isinstance(run, Steered):
                await self._loop.create_task(run)
            else:
                await self._loop.run_in_executor(self._threads(), run)
        except BaseException as error:
            execution.escaped(error)
        finally:
            del self._running[execution.key]
            self._harness.ended(execution)
            self._fill()

    def _stop(self, key: Key, why: Why) -> None:
        if key not in self._running:
            return
        execution, run = self._running[key]
        execution.why = why
        if why == "cancel":
            execution.cancel.set()
        run.interrupt(STOP_ERRORS[why]())

    def _threads(self) -> concurrent.futures.ThreadPoolExecutor:
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(self.slots, thread_name_prefix="tidewheel-job")
        return self._pool
