"""Many `def` jobs at once on one OS thread, each in a greenlet: what the pools `gevent` and `eventlet` share.

It runs in a process whose standard library has been patched (patches.py), so `threading.Event` here, the executor's reader and its
socket are cooperative too: everything in the process is one OS thread, and only what waits lets others run. `async def` tasks share
one event loop, in a greenlet of its own.

An interruption is raised by the hub, between two steps of the greenlet, and only while that is inside of the task's own code
(`armed`). A task that never waits cannot be interrupted; the worker ends its process then, as it does in every pool.
"""

from __future__ import annotations

import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import greenlet

from tidewheel.core.job import Delivery
from tidewheel.pools.loops import LoopGreenlet
from tidewheel.pools.seam import STOP_ERRORS, Execution, Harness, Key, Why
from tidewheel.pools.steered import Steered
from tidewheel.pools.waiting import Waiting


class Run:
    """One job that has a greenlet."""

    __slots__ = ("armed", "delivery", "execution", "greenlet", "steered", "why")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.execution: Execution | None = None
        self.greenlet: greenlet.greenlet | None = None
        self.steered: Steered | None = None
        self.armed = False
        self.why: Why | None = None
        """Why it was interrupted before it had begun."""


class Greenlets(ABC):
    def __init__(self, harness: Harness, concurrency: int) -> None:
        self.slots = concurrency
        self._harness = harness
        self._waiting = Waiting()
        self._running: dict[Key, Run] = {}
        self._quitting = False
        self._empty = threading.Event()
        self._loop: LoopGreenlet | None = None

    # -- what the libraries have under names of their own -------------------------------------------------------------

    @abstractmethod
    def _spawn(self, action: Callable[[], None]) -> None:
        """Run it in a new greenlet, soon."""

    @abstractmethod
    def _soon(self, action: Callable[[], None]) -> None:
        """Run it in the hub, between the steps of greenlets. It must not wait."""

    # -- called by the executor's reader, which is a greenlet like others -----------------------------------------------

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        self._waiting.put(deliveries)
        self._fill()

    def take_back(self, keys: Sequence[Key]) -> list[Key]:
        return self._waiting.take(keys)

    def stop(self, key: Key, why: Why) -> None:
        self._soon(partial(self._stop, key, why))

    def quit(self) -> None:
        self._quitting = True
        self._fill()

    def run(self) -> None:
        self._empty.wait()
        if self._loop is not None:
            self._loop.close()

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        while len(self._running) < self.slots and (delivery := self._waiting.get_nowait()) is not None:
            run = Run(delivery)
            self._running[delivery.envelope.id, delivery.token.claim] = run
            self._spawn(partial(self._one, run))
        if self._quitting and not self._running:
            self._empty.set()

    def _one(self, run: Run) -> None:
        run.execution = execution = self._harness.begin(run.delivery)
        try:
            if run.why is not None:
                raise self._marked(execution, run.why)
            if execution.is_async:
                self._call_async(run, execution)
            else:
                run.greenlet, run.armed = greenlet.getcurrent(), True
                contextvars.copy_context().run(execution.call, _no_loop)
        except BaseException as error:
            run.armed = False
            execution.escaped(error)
        run.armed = False
        del self._running[execution.key]
        self._harness.ended(execution)
        self._fill()

    def _call_async(self, run: Run, execution: Execution) -> None:
        if self._loop is None:
            self._loop = LoopGreenlet(self._spawn)
        run.steered = Steered(execution.acall())
        self._loop.run(run.steered)

    def _stop(self, key: Key, why: Why) -> None:
        run = self._running.get(key)
        if run is None:
            return
        if run.execution is None:
            run.why = why
            return
        error = self._marked(run.execution, why)
        if run.steered is not None:
            run.steered.interrupt(error)
        elif run.armed and run.greenlet is not None:
            run.greenlet.throw(error)  # as the libraries' own `kill` does it

    @staticmethod
    def _marked(execution: Execution, why: Why) -> BaseException:
        """Note on the run why it is interrupted; what is to be raised in it."""
        execution.why = why
        if why == "cancel":
            execution.cancel.set()
        return STOP_ERRORS[why]()


def _no_loop(coroutine: object) -> None:
    raise RuntimeError(f"{coroutine!r} was handed to a greenlet without an event loop")
